//! Events that wait for their time, spread evenly: how late they arrive, and
//! that none is early.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::cli::{
    bench::{
        Args,
        events::{Events, Timers},
        pace::Pace,
        progress::Progress,
        publish::{Publishing, publish},
        report::micros,
        rig::Rig,
        scenario::{Scenario, receiver_of},
        witness::Witness,
    },
    duration::show,
    figure::count,
    latency::Latency,
};

const EVENTS: u64 = 100_000;
const OVER: Duration = Duration::from_mins(1);
/// From the start of publishing to the first timer.
const LEAD: Duration = Duration::from_secs(2);

/// What came of the timers.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    scenario: String,
    events: u64,
    fan_out: u32,
    duration_s: f64,
    pub(super) published: u64,
    refused: u64,
    publish_s: f64,
    delivered: u64,
    duplicates: u64,
    early: u64,
    late_us: Latency,
}

/// Publishes the timers and waits for all of them.
pub(super) async fn measure(args: &Args, rig: &mut Rig) -> anyhow::Result<Report> {
    let progress = Progress::start();
    let events = args.options.events.unwrap_or(EVENTS);
    let over = args.duration.unwrap_or(OVER);
    rig.subscribe(args).await?;
    let witness = Witness::new(receiver_of(rig))?;
    let channels = rig.connect(args.connections()).await?;
    progress.phase("publish");
    let timed = Events::new(args.payload_size).timed(Timers::ahead(events, LEAD, over));
    let shared = Publishing::new(args, &channels, timed, Pace::counted(events));
    publish(&shared).await;
    let (published, refused, publish_s) = {
        let ledger = shared.ledger.lock();
        let took = ledger
            .last_nanos()
            .saturating_sub(shared.pace.start_nanos());
        let took = Duration::from_nanos(took).as_secs_f64();
        (ledger.acknowledged(), ledger.refused(), took)
    };
    progress.phase("arrival");
    let expected = published * u64::from(args.fan_out);
    let stats = witness.settle(expected, LEAD + args.patience).await?;
    Ok(Report {
        scenario: Scenario::Timers.name(),
        events,
        fan_out: args.fan_out,
        duration_s: over.as_secs_f64(),
        published,
        refused,
        publish_s,
        delivered: stats.unique,
        duplicates: stats.duplicates,
        early: stats.early,
        late_us: stats.latency_us,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = show(Duration::from_secs_f64(self.duration_s));
        let took = show(Duration::from_secs_f64(self.publish_s));
        writeln!(
            out,
            "{}, {} events over {over}, fan-out {}\n",
            self.scenario,
            count(self.events),
            self.fan_out
        )?;
        writeln!(
            out,
            "{:<16}  {} acknowledged in {took}, {} refused",
            "events",
            count(self.published),
            count(self.refused)
        )?;
        writeln!(
            out,
            "{:<16}  {} arrived, {} early, {} duplicates",
            "deliveries",
            count(self.delivered),
            count(self.early),
            count(self.duplicates)
        )?;
        let late = self.late_us;
        writeln!(
            out,
            "{:<16}  {} p50, {} p99, {} p99.9, {} max",
            "late by",
            micros(late.p50),
            micros(late.p99),
            micros(late.p999),
            micros(late.max)
        )
    }
}
