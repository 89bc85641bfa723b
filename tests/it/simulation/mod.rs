//! Thousands of schedules of faults, each from a seed: the dispatcher, the control
//! and the memory engine on one thread with paused time, hosts that answer as they
//! like, crashes, clocks that are set, a full disk, and somebody who steps in. What
//! happened is written down and judged by rules that share nothing with the product.
//!
//! `tests/simulate --seed N` replays a seed.

#![expect(clippy::print_stdout, reason = "seeds are for whoever runs this")]

mod clock;
mod dice;
#[cfg(test)]
mod focused;
mod history;
mod operator;
mod plan;
mod planted;
mod publisher;
mod receivers;
mod rules;
mod scene;
mod seat;
mod settle;
mod timeline;
mod world;

use self::{
    history::History,
    plan::{Plan, seeds},
    planted::Bug,
};

/// What is wrong with a world.
fn violations(seed: u64, bug: Option<Bug>) -> (History, Vec<String>) {
    let mut history = world::run(Plan::new(seed, bug));
    let mut found = std::mem::take(&mut history.violations);
    found.extend(rules::judge(&history));
    (history, found)
}

#[test]
fn every_rule_is_kept_whatever_fails() {
    let mut failed = Vec::new();
    let mut requests = 0;
    let seeds = seeds(80);
    let is_replay = seeds.end - seeds.start == 1;
    for seed in seeds {
        let (history, found) = violations(seed, None);
        requests += history.requests.len();
        if is_replay {
            println!("{}", timeline::lines(&history).join("\n"));
        }
        if !found.is_empty() {
            println!("seed {seed} ({:?}):", Plan::new(seed, None));
            for what in found.iter().take(8) {
                println!("    {what}");
            }
            println!("  replay it with: tests/simulate --seed {seed}");
            failed.push(seed);
        }
    }
    println!("{requests} requests");
    assert!(failed.is_empty(), "seeds that broke a rule: {failed:?}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in seeds(2) {
        let [first, second] = [0, 1].map(|_| {
            let history = world::run(Plan::new(seed, None));
            format!("{history:#?}")
        });
        let differing = first.lines().zip(second.lines()).find(|(a, b)| a != b);
        assert_eq!(differing, None, "seed {seed}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}

/// How many seeds are tried before a planted bug counts as missed.
const ENOUGH: u64 = 40;

fn finds(bug: Bug) {
    let found = (1..=ENOUGH).find_map(|seed| {
        let (_, found) = violations(seed, Some(bug));
        found.first().map(|what| (seed, what.clone()))
    });
    let (seed, what) = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
    println!("{bug:?} is found with seed {seed}: {what}");
}

#[test]
fn planted_bugs_are_found() {
    for bug in [
        Bug::LostLease,
        Bug::EarlyRetry,
        Bug::DoubleSend,
        Bug::LostResult,
        Bug::DroppedDeadLetter,
        Bug::LostPlace,
        Bug::LostDelivery,
        Bug::NoOrder,
    ] {
        finds(bug);
    }
}
