//! What the receiver counts. Lost and repeated deliveries are told exactly: a
//! bit stands for each stamped event and path.

use std::collections::{BTreeMap, HashMap};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::cli::{
    bits::Bits,
    latency::{Latency, new_histogram},
    stamp::Stamp,
};

/// Sequence numbers that have a bit: 32 MiB for each path, at most.
const MAX_SEQUENCE: u64 = 1 << 28;
/// Paths that have bits.
const MAX_PATHS: u32 = 4096;
/// Deliveries whose attempts are counted; further ones are not failed.
const MAX_COUNTED: usize = 1_000_000;

/// Answer of `GET /stats`. Latencies are from the stamp of a payload to its
/// first arrival.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) struct Stats {
    /// Requests, whatever the answer.
    pub(in crate::cli) received: u64,
    /// Requests answered 401.
    pub(in crate::cli) bad_signatures: u64,
    /// Requests that failed on purpose.
    pub(in crate::cli) failed: u64,
    /// Stamped payloads taken for the first time.
    pub(in crate::cli) unique: u64,
    /// Stamped payloads taken once more.
    pub(in crate::cli) duplicates: u64,
    /// First arrivals before the time of their stamp.
    pub(in crate::cli) early: u64,
    /// Monotonic time of the last first arrival, in nanoseconds.
    pub(in crate::cli) last_arrival_ns: u64,
    /// From sending to the first arrival.
    pub(in crate::cli) latency_us: Latency,
}

/// Counts since the start or the last reset.
pub(super) struct Tally {
    pub(super) received: u64,
    pub(super) bad_signatures: u64,
    pub(super) failed: u64,
    unique: u64,
    duplicates: u64,
    early: u64,
    last_arrival_nanos: u64,
    latency_nanos: Histogram<u64>,
    /// By path, a bit for each sequence number.
    arrived: BTreeMap<u32, Bits>,
    /// Attempts of each (path, webhook-id).
    attempts: HashMap<String, u32>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            received: 0,
            bad_signatures: 0,
            failed: 0,
            unique: 0,
            duplicates: 0,
            early: 0,
            last_arrival_nanos: 0,
            latency_nanos: new_histogram(),
            arrived: BTreeMap::new(),
            attempts: HashMap::new(),
        }
    }
}

impl Tally {
    /// Counts a delivery that was taken.
    pub(super) fn take(&mut self, path: u32, stamp: Stamp, now_nanos: u64) {
        if stamp.sequence >= MAX_SEQUENCE || path >= MAX_PATHS {
            return;
        }
        if !self.arrived.entry(path).or_default().set(stamp.sequence) {
            self.duplicates += 1;
            return;
        }
        self.unique += 1;
        self.early += u64::from(now_nanos < stamp.sent_nanos);
        self.last_arrival_nanos = now_nanos;
        let latency = now_nanos.saturating_sub(stamp.sent_nanos);
        self.latency_nanos.saturating_record(latency);
    }

    /// Counts an attempt and returns its number, from 1; none when too many
    /// deliveries are counted already.
    pub(super) fn attempt(&mut self, path: u32, webhook_id: &str) -> Option<u32> {
        let key = format!("{path}/{webhook_id}");
        if self.attempts.len() >= MAX_COUNTED && !self.attempts.contains_key(&key) {
            return None;
        }
        let count = self.attempts.entry(key).or_default();
        *count += 1;
        Some(*count)
    }

    /// Stamped payloads taken for the first time.
    pub(super) fn unique(&self) -> u64 {
        self.unique
    }

    /// The events that arrived at a path, as the bytes of `Bits`.
    pub(super) fn arrived(&self, path: u32) -> Vec<u8> {
        self.arrived
            .get(&path)
            .map_or_else(Vec::new, Bits::to_bytes)
    }

    /// What is told by `GET /stats`.
    pub(super) fn stats(&self) -> Stats {
        Stats {
            received: self.received,
            bad_signatures: self.bad_signatures,
            failed: self.failed,
            unique: self.unique,
            duplicates: self.duplicates,
            early: self.early,
            last_arrival_ns: self.last_arrival_nanos,
            latency_us: Latency::of_nanos(&self.latency_nanos),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(sequence: u64) -> Stamp {
        Stamp {
            sequence,
            sent_nanos: 1_000,
        }
    }

    #[test]
    fn a_second_arrival_is_a_duplicate_and_another_path_is_not() {
        let mut tally = Tally::default();
        for (path, sequence) in [(0, 1), (0, 1), (1, 1), (0, 70)] {
            tally.take(path, stamp(sequence), 2_000_000);
        }
        let stats = tally.stats();
        assert_eq!((stats.unique, stats.duplicates), (3, 1));
        assert_eq!(tally.arrived(1), 2_u64.to_le_bytes());
        assert!(tally.arrived(7).is_empty());
    }

    #[test]
    fn latency_runs_from_the_stamp_to_the_first_arrival() {
        let mut tally = Tally::default();
        tally.take(0, stamp(0), 1_001_000);
        tally.take(0, stamp(0), 9_001_000);
        let stats = tally.stats();
        assert!((999.0..1002.0).contains(&stats.latency_us.max), "{stats:?}");
        assert_eq!(stats.last_arrival_ns, 1_001_000);
    }

    #[test]
    fn an_arrival_before_the_time_of_its_stamp_is_early() {
        let mut tally = Tally::default();
        tally.take(0, stamp(0), 999);
        tally.take(0, stamp(1), 1_000);
        assert_eq!(tally.stats().early, 1);
    }

    #[test]
    fn attempts_are_counted_by_path_and_id() {
        let mut tally = Tally::default();
        assert_eq!(tally.attempt(0, "a"), Some(1));
        assert_eq!(tally.attempt(0, "a"), Some(2));
        assert_eq!(tally.attempt(1, "a"), Some(1));
    }
}
