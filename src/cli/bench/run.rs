//! The phases of a run: limit, server, limit. The limit is measured on both
//! sides of the load, so that a machine that slows down slows both.

use std::{sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use tokio::time::interval;

use super::{
    Args, disk,
    ledger::Ledger,
    limit::{Limit, Plan},
    pace::Pace,
    process,
    publish::{Mode, Publishing, publish},
    report::{self, Report},
    rig::{Rig, SECRET},
    witness::Witness,
};
use crate::cli::{child::Receiver, clock};

/// Runs all phases.
pub(super) async fn measure(args: &Args, rig: &mut Rig) -> anyhow::Result<Report> {
    let progress = Progress::start();
    let mut report = Report {
        setup: setup(args),
        ..Report::default()
    };
    if let Some(folder) = rig.data_dir().map(ToOwned::to_owned) {
        progress.phase("disk");
        let median = tokio::task::spawn_blocking(move || disk::sync_median(&folder));
        report.fdatasync = Some(median.await??);
    }
    let limit_plan = match rig.receiver() {
        Some(receiver) if !args.skip_limit => Some(Plan {
            url: format!("{}/limit", receiver.url()),
            secret: SECRET.to_owned(),
            payload_size: args.payload_size,
            concurrency: args.in_flight.unwrap_or(args.concurrency),
        }),
        _ => None,
    };
    let limit_duration = (args.duration / 4).clamp(Duration::from_secs(1), Duration::from_secs(5));
    let mut limit = Limit::new();
    if let Some(plan) = &limit_plan {
        progress.phase("limit");
        limit.measure(plan, limit_duration).await?;
    }
    rig.subscribe(args).await?;
    load(args, rig, &progress, &mut report).await?;
    if let Some(plan) = &limit_plan {
        progress.phase("limit");
        limit.measure(plan, limit_duration).await?;
        report.limit = Some(report::Limit {
            per_second: limit.per_second(),
            latency: limit.latency(),
        });
    }
    Ok(report)
}

/// Publishes, waits for what was published to arrive, and fills the report.
async fn load(
    args: &Args,
    rig: &Rig,
    progress: &Progress,
    report: &mut Report,
) -> anyhow::Result<()> {
    let witness = rig.receiver().map(Witness::new).transpose()?;
    if let Some(witness) = &witness {
        witness.reset().await?;
    }
    let channels = rig.connect(args.connections()).await?;
    let disk_before = rig.data_dir().map(disk::usage).transpose()?;
    let cpu_before = cpu(rig);
    let shared = Arc::new(Publishing {
        mode: args.mode,
        concurrency: args.concurrency,
        payload_size: args.payload_size,
        channels,
        pace: Pace::start(args.duration, args.rate(), args.in_flight),
        ledger: Mutex::new(Ledger::new()),
    });
    let start = shared.pace.start_nanos();

    let mut memory = process::Memory::default();
    tokio::select! {
        () = publish(&shared) => {}
        result = feed(args, witness.as_ref(), &shared.pace) => result?,
        () = watch_memory(&mut memory, rig.server_pid()) => {}
        () = progress.watch(&shared.ledger, args.duration) => {}
    }
    progress.phase("arrival");
    let acknowledged = shared.ledger.lock().acknowledged();
    if let Some(witness) = &witness {
        let expected = acknowledged * u64::from(args.fan_out);
        let mut stats = witness.settle(expected, args.patience).await?;
        let mut lost = lost(witness, args, &shared.ledger).await?;
        if lost > 0 {
            // Events that were not acknowledged arrived in their place.
            stats = witness.settle(u64::MAX, args.patience).await?;
            lost = self::lost(witness, args, &shared.ledger).await?;
        }
        report.delivery = Some(report::Delivery {
            unique: stats.unique,
            lost,
            duplicates: stats.duplicates,
            bad_signatures: stats.bad_signatures,
            elapsed: since(start, stats.last_arrival_ns),
            latency: stats.latency_us,
        });
    }
    let cpu_after = cpu(rig);
    let spent = |after: Option<Duration>, before| Some(after?.saturating_sub(before?));
    report.cpu = report::Cpu {
        server: spent(cpu_after.server, cpu_before.server),
        client: spent(cpu_after.client, cpu_before.client),
        receiver: spent(cpu_after.receiver, cpu_before.receiver),
    };
    report.memory = rig.server_pid().and_then(|pid| summary(&memory, pid));
    let disk_after = rig.data_dir().map(disk::usage).transpose()?;
    report.disk = disk_before
        .zip(disk_after)
        .map(|(before, after)| report::Disk { before, after });
    let ledger = shared.ledger.lock();
    report.publish = report::Publish {
        acknowledged,
        refused: ledger.refused(),
        first_refusal: ledger.first_refusal().map(ToOwned::to_owned),
        elapsed: since(start, ledger.last_nanos()),
        latency: ledger.latency(),
    };
    Ok(())
}

/// Counts the deliveries of acknowledged events that did not arrive.
async fn lost(witness: &Witness, args: &Args, ledger: &Mutex<Ledger>) -> anyhow::Result<u64> {
    let mut lost = 0;
    for path in 0..args.fan_out {
        let arrived = witness.arrived(path).await?;
        lost += ledger.lock().events().missing_in(&arrived);
    }
    Ok(lost)
}

/// Follows the arrivals if the pace depends on them.
async fn feed(args: &Args, witness: Option<&Witness>, pace: &Pace) -> anyhow::Result<()> {
    match witness {
        Some(witness) if args.in_flight.is_some() => witness.follow(pace, args.fan_out).await,
        _ => std::future::pending().await,
    }
}

async fn watch_memory(memory: &mut process::Memory, pid: Option<u32>) {
    match pid {
        Some(pid) => memory.watch(pid).await,
        None => std::future::pending().await,
    }
}

fn summary(memory: &process::Memory, pid: u32) -> Option<report::Memory> {
    Some(report::Memory {
        start: memory.start()?,
        halfway: memory.halfway()?,
        end: memory.end()?,
        max: memory.max()?,
        peak: process::peak_memory(pid)?,
    })
}

fn cpu(rig: &Rig) -> report::Cpu {
    let receiver = rig.receiver().and_then(Receiver::pid);
    report::Cpu {
        server: rig.server_pid().and_then(process::cpu_time),
        client: process::cpu_time(std::process::id()),
        receiver: receiver.and_then(process::cpu_time),
    }
}

fn since(start_nanos: u64, end_nanos: u64) -> Duration {
    Duration::from_nanos(end_nanos.saturating_sub(start_nanos))
}

fn setup(args: &Args) -> report::Setup {
    report::Setup {
        mode: match args.mode {
            Mode::Unary => "unary",
            Mode::Stream => "stream",
        },
        concurrency: args.concurrency,
        in_flight: args.in_flight,
        rate: args.rate(),
        payload_size: args.payload_size,
        fan_out: args.fan_out,
        duration: args.duration,
    }
}

/// A bar on standard error, if that is a terminal.
struct Progress(ProgressBar);

impl Progress {
    fn start() -> Self {
        let bar = ProgressBar::new(1);
        let style = ProgressStyle::with_template("{msg:>8} {bar:40} {prefix}");
        bar.set_style(style.expect("the template is well-formed"));
        Self(bar)
    }

    fn phase(&self, name: &'static str) {
        self.0.set_prefix("");
        self.0.set_message(name);
    }

    /// Shows how publishing goes, until it is dropped.
    async fn watch(&self, ledger: &Mutex<Ledger>, duration: Duration) {
        self.phase("load");
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.0.set_length(millis(duration));
        let start = clock::monotonic_nanos();
        let mut ticks = interval(Duration::from_millis(250));
        loop {
            ticks.tick().await;
            let elapsed = since(start, clock::monotonic_nanos());
            self.0.set_position(millis(elapsed.min(duration)));
            let acknowledged = ledger.lock().acknowledged();
            self.0.set_prefix(format!("{acknowledged} events"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
