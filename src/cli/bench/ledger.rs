//! What the server answered: which events it acknowledged, how fast, and what
//! it refused.

use hdrhistogram::Histogram;
use tonic::Status;

use crate::cli::{
    clock,
    latency::{Latency, new_histogram},
    stamp::Stamp,
};

/// Answers of one run.
pub(super) struct Ledger {
    acknowledged: u64,
    refused: u64,
    first_refusal: Option<String>,
    latency_nanos: Histogram<u64>,
    /// A bit for each sequence number.
    bits: Vec<u64>,
    last_nanos: u64,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            acknowledged: 0,
            refused: 0,
            first_refusal: None,
            latency_nanos: new_histogram(),
            bits: Vec::new(),
            last_nanos: 0,
        }
    }

    /// The server took the event.
    pub(super) fn acknowledge(&mut self, stamp: Stamp) {
        self.last_nanos = clock::monotonic_nanos();
        let latency = self.last_nanos.saturating_sub(stamp.sent_nanos);
        self.latency_nanos.saturating_record(latency);
        self.acknowledged += 1;
        let word = usize::try_from(stamp.sequence / 64).expect("counts fit in memory");
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= 1 << (stamp.sequence % 64);
    }

    /// The server did not take the event, or did not say.
    pub(super) fn refuse(&mut self, status: &Status) {
        self.refused += 1;
        self.first_refusal
            .get_or_insert_with(|| format!("{:?}: {}", status.code(), status.message()));
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn first_refusal(&self) -> Option<&str> {
        self.first_refusal.as_deref()
    }

    pub(super) fn latency(&self) -> Latency {
        Latency::of_nanos(&self.latency_nanos)
    }

    /// Monotonic time of the last acknowledgement.
    pub(super) fn last_nanos(&self) -> u64 {
        self.last_nanos
    }

    /// How many acknowledged events are missing among those that arrived,
    /// given as the receiver's little-endian words.
    pub(super) fn missing(&self, arrived: &[u8]) -> u64 {
        let words = arrived
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("chunks are of 8 bytes")));
        self.bits
            .iter()
            .zip(words.chain(std::iter::repeat(0)))
            .map(|(acknowledged, arrived)| u64::from((acknowledged & !arrived).count_ones()))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledged_event_that_did_not_arrive_is_missing() {
        let mut ledger = Ledger::new();
        for sequence in [0, 1, 65, 130] {
            ledger.acknowledge(Stamp {
                sequence,
                sent_nanos: 0,
            });
        }
        let arrived: Vec<u8> = [0b101_u64, 0b10]
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect();
        assert_eq!(ledger.missing(&arrived), 2);
        assert_eq!(ledger.missing(&[]), 4);
    }
}
