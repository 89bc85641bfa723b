//! What can be asked of a scenario, and what not.

use anyhow::bail;
use clap::ValueEnum;

use crate::cli::bench::Args;

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli::bench) enum Scenario {
    /// One subscription whose endpoint refuses connections, with a backlog.
    DeadEndpoints,
    /// A tenth of the subscriptions never gets an answer.
    HangingEndpoints,
    /// Three tenths get an answer a byte at a time.
    SlowReceivers,
    /// Four tenths get answers that never end.
    EndlessBodies,
    /// Another tenant publishes a hundred times as much as the others.
    NoisyTenant,
    /// Events that are not to be delivered before their time.
    Timers,
    /// A receiver that was dead, and a rate limit.
    Recovery,
    /// Three times as many calls as the server can answer.
    Overload,
}

/// Arguments of scenarios alone.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Scenarios")]
pub(in crate::cli::bench) struct Options {
    /// Measures the server in trouble of one kind instead of its throughput.
    #[arg(long, value_enum, value_name = "NAME")]
    pub(in crate::cli::bench) scenario: Option<Scenario>,
    /// Subscriptions in all, those in trouble included; 1000 if not given.
    #[arg(long, value_name = "N", requires = "scenario", value_parser = clap::value_parser!(u32).range(10..=4096))]
    pub(super) subscriptions: Option<u32>,
    /// Pairs of a calm phase and one in trouble; 3 if not given.
    #[arg(long, value_name = "N", requires = "scenario", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) pairs: Option<u32>,
    /// Events that wait for the dead endpoint from the start; 20000 if not given.
    #[arg(long, value_name = "N", requires = "scenario")]
    pub(super) backlog: Option<u64>,
    /// Events in all: 100000 for timers, 50000 for recovery if not given.
    #[arg(long, value_name = "N", requires = "scenario", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) events: Option<u64>,
    /// Rate limit of the subscription that recovers, in deliveries per second;
    /// 1000 if not given.
    #[arg(long, value_name = "N", requires = "scenario", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) rate_limit: Option<u32>,
}

impl Scenario {
    pub(super) fn name(self) -> String {
        let value = self.to_possible_value();
        value.expect("none is skipped").get_name().to_owned()
    }

    /// The flags that make sense with it, beside those of every run.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::DeadEndpoints => &[
                "--subscriptions",
                "--pairs",
                "--duration",
                "--rate",
                "--backlog",
            ],
            Self::HangingEndpoints
            | Self::SlowReceivers
            | Self::EndlessBodies
            | Self::NoisyTenant => &["--subscriptions", "--pairs", "--duration", "--rate"],
            Self::Timers => &["--events", "--duration", "--fan-out"],
            Self::Recovery => &["--events", "--rate-limit", "--answer-after"],
            Self::Overload => &["--duration", "--rate"],
        }
    }
}

/// Refuses flags that do not go with the scenario.
pub(in crate::cli::bench) fn check(args: &Args) -> anyhow::Result<()> {
    let options = &args.options;
    let Some(scenario) = options.scenario else {
        return Ok(());
    };
    for (flag, given) in [
        ("--subscriptions", options.subscriptions.is_some()),
        ("--pairs", options.pairs.is_some()),
        ("--backlog", options.backlog.is_some()),
        ("--events", options.events.is_some()),
        ("--rate-limit", options.rate_limit.is_some()),
        ("--duration", args.duration.is_some()),
        ("--answer-after", args.answer_after.is_some()),
        ("--rate", args.rate().is_some()),
        ("--fan-out", args.fan_out > 1),
    ] {
        if given && !scenario.flags().contains(&flag) {
            bail!("{flag} does not go with --scenario {}", scenario.name());
        }
    }
    Ok(())
}
