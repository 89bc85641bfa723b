//! A sign that the scheduler goes on, for whoever watches it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts the rounds of the scheduler: at least one a second, whatever there is
/// to do.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// Another round.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many rounds there have been.
    pub fn beats(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
