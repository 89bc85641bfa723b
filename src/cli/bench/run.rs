//! The phases of a run: limit, server, limit. The limit is measured on both
//! sides of the load, so that a machine that slows down slows both.

use std::time::Duration;

use parking_lot::Mutex;

use super::{
    Args, disk,
    events::Events,
    ledger::Ledger,
    limit::{Limit, Plan},
    pace::Pace,
    process,
    progress::Progress,
    publish::{Mode, Publishing, publish},
    report::{self, Report},
    rig::{Rig, SECRET},
    witness::Witness,
};
use crate::cli::child::Receiver;

/// What was used up to a moment.
struct Spent {
    cpu: report::Cpu,
    disk: Option<u64>,
}

impl Spent {
    fn so_far(rig: &Rig) -> anyhow::Result<Self> {
        let receiver = rig.receiver().and_then(Receiver::pid);
        Ok(Self {
            cpu: report::Cpu {
                server: rig.server_pid().and_then(process::cpu_time),
                client: process::cpu_time(std::process::id()),
                receiver: receiver.and_then(process::cpu_time),
            },
            disk: rig.data_dir().map(disk::usage).transpose()?,
        })
    }
}

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
    let limit_duration =
        (args.duration() / 4).clamp(Duration::from_secs(1), Duration::from_secs(5));
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
    let before = Spent::so_far(rig)?;
    let events = Events::new(args.payload_size);
    let pace = Pace::start(args.duration(), args.rate(), args.in_flight);
    let shared = Publishing::new(args, &channels, events, pace);
    let mut memory = process::Memory::default();
    tokio::select! {
        () = publish(&shared) => {}
        result = feed(args, witness.as_ref(), &shared.pace) => result?,
        () = memory.watch(rig.server_pid()) => {}
        () = progress.watch("load", &shared.ledger, args.duration()) => {}
    }
    let start_nanos = shared.pace.start_nanos();
    report.publish = published(&shared.ledger.lock(), start_nanos);
    if let Some(witness) = &witness {
        progress.phase("arrival");
        report.delivery = Some(arrived(args, witness, &shared.ledger, start_nanos).await?);
    }
    let after = Spent::so_far(rig)?;
    report.cpu = after.cpu.since(&before.cpu);
    report.disk = before
        .disk
        .zip(after.disk)
        .map(|(before, after)| report::Disk { before, after });
    report.memory = rig.server_pid().and_then(|pid| summary(&memory, pid));
    Ok(())
}

fn published(ledger: &Ledger, start_nanos: u64) -> report::Publish {
    report::Publish {
        acknowledged: ledger.acknowledged(),
        refused: ledger.refused(),
        first_refusal: ledger.first_refusal().map(ToOwned::to_owned),
        elapsed: since(start_nanos, ledger.last_nanos()),
        latency: ledger.latency(),
    }
}

/// Waits for the deliveries of all acknowledged events.
async fn arrived(
    args: &Args,
    witness: &Witness,
    ledger: &Mutex<Ledger>,
    start_nanos: u64,
) -> anyhow::Result<report::Delivery> {
    let expected = ledger.lock().acknowledged() * u64::from(args.fan_out);
    let mut stats = witness.settle(expected, args.patience).await?;
    let mut lost = count_lost(args, witness, ledger).await?;
    if lost > 0 {
        // Events that were not acknowledged may have arrived in their place.
        stats = witness.settle(u64::MAX, args.patience).await?;
        lost = count_lost(args, witness, ledger).await?;
    }
    Ok(report::Delivery {
        unique: stats.unique,
        lost,
        duplicates: stats.duplicates,
        bad_signatures: stats.bad_signatures,
        elapsed: since(start_nanos, stats.last_arrival_ns),
        latency: stats.latency_us,
    })
}

/// Counts the deliveries of acknowledged events that did not arrive.
async fn count_lost(args: &Args, witness: &Witness, ledger: &Mutex<Ledger>) -> anyhow::Result<u64> {
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

fn summary(memory: &process::Memory, pid: u32) -> Option<report::Memory> {
    Some(report::Memory {
        start: memory.start()?,
        halfway: memory.halfway()?,
        end: memory.end()?,
        max: memory.max()?,
        peak: process::peak_memory(pid)?,
    })
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
        duration: args.duration(),
    }
}
