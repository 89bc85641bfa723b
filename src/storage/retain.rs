//! What expired goes.

use async_trait::async_trait;

use super::Result;
use crate::domain::Timestamp;

/// What a removal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Days that were removed.
    pub days: usize,
    /// How many bytes of the disk they took.
    pub bytes: u64,
    /// Days that would have gone, but something in them is still due.
    pub kept: usize,
}

/// Removes events with all that came of them, in whole days.
#[async_trait]
pub trait Retention: Send + Sync + 'static {
    /// Removes the days that ended before a time: their events, deliveries,
    /// attempts and idempotency keys. Their space is free once this returns.
    ///
    /// A day in which a delivery is still due is kept as a whole until that is
    /// settled: nothing is given up undelivered. Readers of the log learn by
    /// [`super::LogSlice::removed_before`] what they missed. Works on a full
    /// disk too.
    async fn remove_expired(&self, before: Timestamp) -> Result<Removed>;
}
