//! A receiver that was dead while events were published: how soon the first
//! arrives once it is well again, how the rest follows, and that the rate limit
//! is met and kept.

use std::{fmt, time::Duration};

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    cli::{
        bench::{
            Args,
            events::{EVENT_TYPE, Events},
            pace::Pace,
            progress::Progress,
            publish::{Publishing, publish},
            rig::{Rig, subscription_to},
            scenario::{Scenario, receiver_of},
            witness::Witness,
        },
        clock,
        duration::show,
        figure::count,
        latency::real,
        receiver::Stats,
    },
    proto::{DeliveryFilter, ListDeliveriesRequest, RateLimit, RetryDeliveryRequest, Subscription},
};

const EVENTS: u64 = 50_000;
const RATE_LIMIT: u32 = 1_000;
/// Seconds from the first success in which the rate is still rising.
const RAMP: usize = 8;
const POLL_EVERY: Duration = Duration::from_millis(5);

/// What came of the recovery.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    scenario: String,
    events: u64,
    rate_limit_per_s: u32,
    answer_after_s: f64,
    pub(super) published: u64,
    refused: u64,
    failed_attempts: u64,
    first_success_s: f64,
    ramp_per_s: Vec<u64>,
    steady_per_s: Option<f64>,
    steady_percent: Option<f64>,
    delivered: u64,
}

/// Publishes to a dead receiver, brings it back and watches what arrives.
pub(super) async fn measure(args: &Args, rig: &mut Rig) -> anyhow::Result<Report> {
    let progress = Progress::start();
    let events = args.options.events.unwrap_or(EVENTS);
    let rate_limit = args.options.rate_limit.unwrap_or(RATE_LIMIT);
    let receiver = receiver_of(rig);
    let witness = Witness::new(receiver)?;
    let subscription = Subscription {
        url: format!("{}/0", receiver.url()),
        // The limit alone is to bound the rate.
        max_in_flight: 1_024,
        rate_limit: Some(RateLimit {
            per_second: rate_limit.into(),
            burst: 1,
        }),
        ..subscription_to(EVENT_TYPE)
    };
    let id = rig.create(vec![subscription]).await?.remove(0);
    let channels = rig.connect(args.connections()).await?;
    witness.answer_with(500).await?;
    progress.phase("publish");
    let wanted = Events::new(args.payload_size);
    let shared = Publishing::new(args, &channels, wanted, Pace::counted(events));
    publish(&shared).await;
    let (published, refused) = {
        let ledger = shared.ledger.lock();
        (ledger.acknowledged(), ledger.refused())
    };
    progress.phase("recovery");
    let failed_attempts = witness.stats().await?.failed;
    witness.answer_with(200).await?;
    let mended_nanos = clock::monotonic_nanos();
    probe(rig, id).await?;
    let first = first_success(&witness, args.patience).await?;
    let first_after = first.last_arrival_ns.saturating_sub(mended_nanos);
    // What failed before may wait for its own retry, and the last second is not
    // a full one.
    let goal = published.saturating_sub(failed_attempts + u64::from(rate_limit));
    let counts = follow(&witness, goal, args.patience).await?;
    let steady_per_s = steady(&counts);
    Ok(Report {
        scenario: Scenario::Recovery.name(),
        events,
        rate_limit_per_s: rate_limit,
        answer_after_s: args.answer_after().as_secs_f64(),
        published,
        refused,
        failed_attempts,
        first_success_s: Duration::from_nanos(first_after).as_secs_f64(),
        ramp_per_s: per_second(&counts).take(RAMP).collect(),
        steady_per_s,
        steady_percent: steady_per_s.map(|rate| 100.0 * rate / f64::from(rate_limit)),
        delivered: counts.last().copied().unwrap_or_default(),
    })
}

/// Has the newest delivery tried at once, instead of when the breaker would.
async fn probe(rig: &Rig, subscription_id: String) -> anyhow::Result<()> {
    let mut client = rig.deliveries().await?;
    let filter = DeliveryFilter {
        subscription_id,
        ..DeliveryFilter::default()
    };
    let request = ListDeliveriesRequest {
        page_size: 1,
        filter: Some(filter),
        ..ListDeliveriesRequest::default()
    };
    let page = client.list_deliveries(request).await?.into_inner();
    let newest = page.deliveries.into_iter().next();
    let id = newest.context("there is no delivery")?.id;
    client.retry_delivery(RetryDeliveryRequest { id }).await?;
    Ok(())
}

async fn first_success(witness: &Witness, patience: Duration) -> anyhow::Result<Stats> {
    let start = Instant::now();
    loop {
        let stats = witness.stats().await?;
        if stats.unique > 0 {
            return Ok(stats);
        }
        ensure!(start.elapsed() < patience, "nothing arrived at last");
        sleep(POLL_EVERY).await;
    }
}

/// Counts what arrived from just before the first success on, every second,
/// until the rate has risen and the goal is reached, or nothing comes any more.
async fn follow(witness: &Witness, goal: u64, patience: Duration) -> anyhow::Result<Vec<u64>> {
    let mut counts = vec![0];
    let mut next = Instant::now();
    let mut last_change = next;
    loop {
        next += Duration::from_secs(1);
        sleep_until(next).await;
        let arrived = witness.stats().await?.unique;
        if counts.last() != Some(&arrived) {
            last_change = next;
        }
        counts.push(arrived);
        let is_over = counts.len() > RAMP && arrived >= goal;
        if is_over || next - last_change >= patience {
            return Ok(counts);
        }
    }
}

/// What arrived in each second.
fn per_second(counts: &[u64]) -> impl Iterator<Item = u64> {
    counts.windows(2).map(|pair| pair[1] - pair[0])
}

/// Arrivals per second once the rate has risen; none if all was over by then.
fn steady(counts: &[u64]) -> Option<f64> {
    let (first, rest) = counts.get(RAMP..)?.split_first()?;
    let last = rest.last()?;
    Some(real(last - first) / real(rest.len() as u64))
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |seconds| show(Duration::from_secs_f64(seconds));
        writeln!(
            out,
            "{}, {} events, at most {} a second, answers after {}\n",
            self.scenario,
            count(self.events),
            count(self.rate_limit_per_s.into()),
            seconds(self.answer_after_s)
        )?;
        writeln!(
            out,
            "{:<16}  {} acknowledged, {} refused",
            "events",
            count(self.published),
            count(self.refused)
        )?;
        writeln!(
            out,
            "{:<16}  {} attempts failed",
            "dead",
            count(self.failed_attempts)
        )?;
        writeln!(
            out,
            "{:<16}  {} after it was well",
            "first success",
            seconds(self.first_success_s)
        )?;
        let ramp: Vec<_> = self.ramp_per_s.iter().copied().map(count).collect();
        writeln!(
            out,
            "{:<16}  {} in each second",
            "arrivals",
            ramp.join(", ")
        )?;
        if let (Some(rate), Some(percent)) = (self.steady_per_s, self.steady_percent) {
            writeln!(
                out,
                "{:<16}  {rate:.0} a second, {percent:.1} % of the limit",
                "afterwards"
            )?;
        }
        writeln!(
            out,
            "{:<16}  {} arrived",
            "deliveries",
            count(self.delivered)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One more in each second than in the one before, then five.
    fn counts() -> Vec<u64> {
        vec![0, 1, 3, 6, 10, 15, 20, 25, 30, 35, 40]
    }

    #[test]
    fn what_arrived_is_told_second_by_second() {
        let each: Vec<_> = per_second(&counts()).collect();
        assert_eq!(each, [1, 2, 3, 4, 5, 5, 5, 5, 5, 5]);
    }

    #[test]
    fn the_steady_rate_is_that_after_the_ramp() {
        assert_eq!(steady(&counts()), Some(5.0));
        assert_eq!(steady(&counts()[..=RAMP]), None);
        assert_eq!(steady(&[0, 7]), None);
    }

    #[test]
    fn people_read_how_the_rate_rose() {
        let report = Report {
            scenario: "recovery".to_owned(),
            events: 50_000,
            rate_limit_per_s: 1_000,
            answer_after_s: 0.1,
            published: 50_000,
            refused: 0,
            failed_attempts: 64,
            first_success_s: 0.003,
            ramp_per_s: vec![10, 20, 40, 80, 160, 320, 640, 1_000],
            steady_per_s: Some(995.0),
            steady_percent: Some(99.5),
            delivered: 48_950,
        };
        insta::assert_snapshot!(report.to_string(), @r"
        recovery, 50,000 events, at most 1,000 a second, answers after 100.0 ms

        events            50,000 acknowledged, 0 refused
        dead              64 attempts failed
        first success     3.0 ms after it was well
        arrivals          10, 20, 40, 80, 160, 320, 640, 1,000 in each second
        afterwards        995 a second, 99.5 % of the limit
        deliveries        48,950 arrived
        ");
    }
}
