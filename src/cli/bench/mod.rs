//! `postrider bench`: loads a server over gRPC, with a receiver in a process of
//! its own, and compares what arrives with the bare limit of the machine.

mod disk;
mod events;
mod ledger;
mod limit;
mod pace;
mod process;
mod progress;
mod publish;
mod report;
mod rig;
mod run;
mod scenario;
mod witness;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{anyhow, bail};

use self::{
    publish::Mode,
    rig::Rig,
    scenario::{Options, Scenario},
};
use super::{duration, interrupt::Interrupt};

/// Arguments of `postrider bench`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = report::NAMES)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are switches of a command line"
)]
pub struct Args {
    /// How events are published.
    #[arg(long, value_enum, default_value_t = Mode::Stream)]
    mode: Mode,
    /// Events that wait for their answer at once, in all connections together.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = at_least_one)]
    concurrency: usize,
    /// Connections to the server; one for each 64 of the concurrency and at
    /// least 4 if not given.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    connections: Option<usize>,
    /// Size of an event's payload.
    #[arg(long, value_name = "BYTES", default_value_t = 512)]
    payload_size: usize,
    /// Subscriptions that want every event; of the scenarios for timers only.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    fan_out: u32,
    /// How long events are published, in a scenario in each of its phases; 10s if
    /// not given. Of timers, over what time they are spread; 60s if not given.
    #[arg(long, value_parser = duration::parse)]
    duration: Option<Duration>,
    /// Events per second; 0 publishes as fast as answers come, and in a scenario
    /// 500.
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    rate: f64,
    /// Publishes only while fewer than N events have not arrived yet.
    #[arg(long, value_name = "N", value_parser = at_least_one, conflicts_with = "scenario")]
    in_flight: Option<usize>,
    /// Publishes without a subscription: measures taking events in alone.
    #[arg(long, conflicts_with_all = ["in_flight", "scenario"])]
    publish_only: bool,
    /// Loads the server at this URL instead of starting one; it must be allowed
    /// to call 127.0.0.1. Several, which have to share a store, get the same
    /// share of the connections.
    #[arg(long, value_name = "URL")]
    target: Vec<String>,
    /// Process of the server at --target, for its CPU time and memory.
    #[arg(long, value_name = "PID", requires = "target")]
    server_pid: Option<u32>,
    /// Folder of the server's data (in `store`) and log; a temporary one, removed
    /// afterwards, if not given. With --target, what its disk use is measured of.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Does not measure the bare limit.
    #[arg(long, conflicts_with = "scenario")]
    skip_limit: bool,
    /// Has the receiver wait before it answers; of the scenarios for recovery
    /// only, where it waits 100ms if not given.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    answer_after: Option<Duration>,
    /// Lets the receiver accept deliveries without verifying them.
    #[arg(long, conflicts_with = "scenario")]
    no_verify: bool,
    /// Gives up on deliveries when none has arrived for so long.
    #[arg(long, value_parser = duration::parse, default_value = "10s")]
    patience: Duration,
    /// Prints one JSON object; `--help` explains its names.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: Options,
}

impl Args {
    fn rate(&self) -> Option<f64> {
        (self.rate > 0.0).then_some(self.rate)
    }

    fn duration(&self) -> Duration {
        self.duration.unwrap_or(Duration::from_secs(10))
    }

    fn answer_after(&self) -> Duration {
        let usual = match self.options.scenario {
            Some(Scenario::Recovery) => Duration::from_millis(100),
            _ => Duration::ZERO,
        };
        self.answer_after.unwrap_or(usual)
    }

    fn connections(&self) -> usize {
        let enough = self.concurrency.div_ceil(64).max(4);
        self.connections.unwrap_or(enough).min(self.concurrency)
    }
}

/// Measures and prints the report.
pub async fn run(args: Args) -> anyhow::Result<()> {
    scenario::check(&args)?;
    let mut interrupt = Interrupt::listen()?;
    let mut rig = Rig::start(&args).await?;
    let measured = tokio::select! {
        report = measure(&args, &mut rig) => report,
        () = interrupt.received() => Err(anyhow!("interrupted")),
    };
    let stopped = rig.stop().await;
    let told = measured?;
    stopped?;
    io::stdout().write_all(told.text.as_bytes())?;
    if told.acknowledged == 0 {
        bail!("the server acknowledged nothing");
    }
    Ok(())
}

/// A report, ready to be printed.
struct Told {
    text: String,
    acknowledged: u64,
}

async fn measure(args: &Args, rig: &mut Rig) -> anyhow::Result<Told> {
    if let Some(scenario) = args.options.scenario {
        return scenario::measure(scenario, args, rig).await;
    }
    let report = run::measure(args, rig).await?;
    Ok(Told {
        text: if args.json {
            format!("{}\n", report::to_json(&report))
        } else {
            report::to_table(&report)
        },
        acknowledged: report.publish.acknowledged,
    })
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a number from 1 on".into()),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests;
