//! What the server answered: which events it acknowledged, how fast, and what
//! it refused.

use hdrhistogram::Histogram;
use tonic::Status;

use crate::cli::{
    bits::Bits,
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
    events: Bits,
    last_nanos: u64,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            acknowledged: 0,
            refused: 0,
            first_refusal: None,
            latency_nanos: new_histogram(),
            events: Bits::default(),
            last_nanos: 0,
        }
    }

    /// The server took the event.
    pub(super) fn acknowledge(&mut self, stamp: Stamp) {
        self.last_nanos = clock::monotonic_nanos();
        let latency = self.last_nanos.saturating_sub(stamp.sent_nanos);
        self.latency_nanos.saturating_record(latency);
        self.acknowledged += 1;
        self.events.set(stamp.sequence);
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

    /// The events that were acknowledged.
    pub(super) fn events(&self) -> &Bits {
        &self.events
    }
}
