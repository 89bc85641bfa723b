//! How many events a second each storage engine takes in, and how many it takes
//! in and completes, beside a bare log on the same disk as the limit.
//!
//! `cargo bench --bench storage`, with names of engines to measure only those.
//! Rounds go around the engines, so that what else the machine does hits all
//! of them; the median counts.

#![expect(unreachable_pub, reason = "a benchmark is no library")]
#![expect(clippy::unwrap_used, reason = "in a benchmark, a panic is the report")]
#![expect(clippy::print_stdout, reason = "the table is the result")]

mod bare_log;
#[path = "../../tests/it/support/cluster.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod cluster;
mod engines;
mod load;

use std::time::Duration;

use engines::Contender;

const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(4);

/// Callers that each wait for the answer before they go on.
const PRODUCERS: u64 = 128;

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name| {
        let mut names = wanted.iter().filter(|arg| !arg.starts_with('-')).peekable();
        names.peek().is_none() || names.any(|wanted| wanted == name)
    };
    let mut contenders = Contender::ALL.to_vec();
    contenders.retain(|contender| is_wanted(contender.name()));

    let mut limits = Vec::new();
    let mut results = vec![(Vec::new(), Vec::new(), Vec::new()); contenders.len()];
    for _ in 0..ROUNDS {
        limits.push(bare_log::measure().await);
        for (contender, (ingest, mixed, disk)) in contenders.iter().zip(&mut results) {
            ingest.push(contender.measure(false).await.per_second);
            let run = contender.measure(true).await;
            mixed.push(run.per_second);
            disk.push(run.bytes_per_event);
        }
    }

    let limit = median(limits);
    println!("events of 512 bytes, {PRODUCERS} producers, durable; median of {ROUNDS} rounds");
    println!("engine      ingest/s  of limit  ingest+complete/s  of limit  bytes/event");
    println!("{:<10} {limit:>9.0} {:>9.2}", "bare log", 1.0);
    for (contender, (ingest, mixed, disk)) in contenders.iter().zip(results) {
        let (ingest, mixed, disk) = (median(ingest), median(mixed), median(disk));
        println!(
            "{:<10} {ingest:>9.0} {:>9.2} {mixed:>18.0} {:>9.2} {disk:>12.0}",
            contender.name(),
            ingest / limit,
            mixed / limit,
        );
    }
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}
