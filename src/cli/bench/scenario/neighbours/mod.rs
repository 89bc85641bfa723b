//! Subscriptions in trouble, and what the others notice of them. Calm phases,
//! in which those are disabled, alternate with troubled ones in one run, so that
//! a machine that slows down slows both.

mod report;
mod town;

use anyhow::ensure;
use tokio::time::sleep;

use self::{
    report::{Phase, Report},
    town::{TIMEOUT, Town},
};
use crate::cli::{
    bench::{
        Args,
        events::Events,
        pace::Pace,
        process::Memory,
        progress::Progress,
        publish::{Publishing, publish},
        rig::Rig,
    },
    latency::real,
};

const SUBSCRIPTIONS: u32 = 1_000;
const PAIRS: u32 = 3;
const RATE: f64 = 500.0;
const BACKLOG: u64 = 20_000;
/// Of two tenants, one has so many times the share of the other, whose rate is
/// less than in other troubles.
const NOISE: f64 = 100.0;
const RATE_BESIDE_NOISE: f64 = 50.0;

/// What is wrong with the endpoints in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Dead,
    Hanging,
    Slow,
    Endless,
    /// Nothing but another tenant that publishes far more than its share.
    Noisy,
}

impl Trouble {
    /// How many of the subscriptions are in trouble.
    fn share(self, subscriptions: u32) -> u32 {
        match self {
            Self::Dead | Self::Noisy => 1,
            Self::Hanging => subscriptions / 10,
            Self::Slow => subscriptions * 3 / 10,
            Self::Endless => subscriptions * 4 / 10,
        }
    }

    /// Whose the subscriptions in trouble are, if not the others' tenant's.
    fn tenant(self) -> Option<&'static str> {
        (self == Self::Noisy).then_some("noisy")
    }

    /// Events per second for those in trouble, where the others get so many.
    fn rate(self, others: f64, town: &Town) -> f64 {
        match self {
            Self::Noisy => others * NOISE,
            _ => {
                others * real(town.bad_types().len() as u64) / real(town.good_types().len() as u64)
            }
        }
    }
}

/// Runs the pairs of phases after one that does not count.
pub(super) async fn measure(
    scenario: String,
    trouble: Trouble,
    args: &Args,
    rig: &mut Rig,
) -> anyhow::Result<Report> {
    let options = &args.options;
    let progress = Progress::start();
    progress.phase("subscribe");
    let subscriptions = options.subscriptions.unwrap_or(SUBSCRIPTIONS);
    let troubled = trouble.share(subscriptions);
    let run = Run {
        args,
        rate: args.rate().unwrap_or(match trouble {
            Trouble::Noisy => RATE_BESIDE_NOISE,
            _ => RATE,
        }),
        trouble,
        town: Town::build(rig, trouble, subscriptions - troubled, troubled).await?,
        rig,
        progress,
    };
    if trouble == Trouble::Dead {
        run.progress.phase("backlog");
        run.queue(options.backlog.unwrap_or(BACKLOG)).await?;
    }
    run.town.trouble(run.rig, false).await?;
    run.phase("warm-up", false).await?;
    let mut phases = Vec::new();
    for _ in 0..options.pairs.unwrap_or(PAIRS) {
        phases.push(run.phase("calm", false).await?);
        run.town.trouble(run.rig, true).await?;
        phases.push(run.phase("troubled", true).await?);
        run.town.trouble(run.rig, false).await?;
        // What is under way ends by then, and the next phase is calm.
        sleep(TIMEOUT).await;
    }
    run.progress.phase("attempts");
    Ok(Report {
        scenario,
        subscriptions,
        troubled,
        rate_per_s: run.rate,
        duration_s: args.duration().as_secs_f64(),
        p99_ratio: report::p99_ratio(&phases),
        memory_growth_bytes: report::memory_growth(&phases),
        overrun_us: run.town.overrun(run.rig).await?,
        phases,
    })
}

struct Run<'a> {
    args: &'a Args,
    /// Events per second for the good subscriptions together.
    rate: f64,
    trouble: Trouble,
    town: Town,
    rig: &'a Rig,
    progress: Progress,
}

impl Run<'_> {
    /// Publishes events for the subscriptions in trouble, before any phase.
    async fn queue(&self, events: u64) -> anyhow::Result<()> {
        let channels = self.rig.connect(self.args.connections()).await?;
        let wanted = Events::of_types(self.town.bad_types(), self.args.payload_size);
        let pace = Pace::counted(events);
        let shared = Publishing::new(self.args, &channels, wanted, pace);
        publish(&shared).await;
        let ledger = shared.ledger.lock();
        let refusal = ledger.first_refusal().unwrap_or_default();
        ensure!(ledger.refused() == 0, "the backlog was refused: {refusal}");
        Ok(())
    }

    /// Publishes to the good subscriptions, to the others their share beside, and
    /// waits for what the good ones are to get.
    async fn phase(&self, name: &'static str, troubled: bool) -> anyhow::Result<Phase> {
        let Self { args, town, .. } = self;
        let duration = args.duration();
        let channels = self.rig.connect(args.connections()).await?;
        let at_rate = |tenant, types: Vec<String>, rate| {
            let pace = Pace::start(duration, Some(rate), None);
            let events = Events::of_types(types, args.payload_size);
            Publishing::of_tenant(tenant, args, &channels, events, pace)
        };
        town.witness.reset().await?;
        let good = at_rate(None, town.good_types(), self.rate);
        let bad = troubled.then(|| {
            let rate = self.trouble.rate(self.rate, town);
            at_rate(self.trouble.tenant(), town.bad_types(), rate)
        });
        let both = async {
            let beside = async {
                if let Some(bad) = &bad {
                    publish(bad).await;
                }
            };
            tokio::join!(publish(&good), beside);
        };
        let mut memory = Memory::default();
        tokio::select! {
            () = both => {}
            () = memory.watch(self.rig.server_pid()) => {}
            () = self.progress.watch(name, &good.ledger, duration) => {}
        }
        let (published, refused) = {
            let ledger = good.ledger.lock();
            (ledger.acknowledged(), ledger.refused())
        };
        let stats = town.witness.settle(published, args.patience).await?;
        Ok(Phase {
            troubled,
            published,
            refused,
            delivered: stats.unique,
            latency_us: stats.latency_us,
            memory_growth_bytes: memory.growth(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_its_share() {
        use Trouble::{Dead, Endless, Hanging, Noisy, Slow};
        let all = [Dead, Noisy, Hanging, Slow, Endless];
        let of = |subscriptions| all.map(|trouble| trouble.share(subscriptions));
        assert_eq!(of(1_000), [1, 1, 100, 300, 400]);
        assert_eq!(of(10), [1, 1, 1, 3, 4]);
    }
}
