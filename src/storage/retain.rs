//! What expired goes.

use async_trait::async_trait;

use super::Result;
use crate::domain::{TenantId, Timestamp};

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

/// What the removal of a tenant's events came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemovedEvents {
    /// Events that were removed.
    pub events: u64,
    /// Events that would have gone, but a delivery of theirs is still due.
    pub kept: u64,
}

/// Removes events with all that came of them, in whole days or by tenant.
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

    /// Removes a tenant's events of the days that ended before a time: with their
    /// deliveries, attempts and idempotency keys, each event as a whole or not at
    /// all. One of which a delivery is due is kept until that is settled.
    ///
    /// Their space is given back as that of what was erased. Readers of the log
    /// pass over their attempts and are not told.
    async fn remove_of_tenant(&self, tenant: &TenantId, before: Timestamp)
    -> Result<RemovedEvents>;
}
