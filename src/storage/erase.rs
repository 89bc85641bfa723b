//! Content goes before its time, and the skeleton of what happened stays.

use async_trait::async_trait;

use super::Result;
use crate::domain::{Erasure, TenantId, Timestamp};

/// What an erasure came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Events whose payload is gone.
    pub events: u64,
    /// Attempts whose content is gone.
    pub attempts: u64,
    /// Deliveries that were cancelled, since there is nothing left to send.
    pub cancelled: u64,
    /// Events that others got, too, and that keep their payload.
    pub shared: u64,
}

impl std::ops::AddAssign for Erased {
    fn add_assign(&mut self, more: Self) {
        self.events += more.events;
        self.attempts += more.attempts;
        self.cancelled += more.cancelled;
        self.shared += more.shared;
    }
}

/// Erases what events and attempts hold.
#[async_trait]
pub trait Erase: Send + Sync + 'static {
    /// Erases what a tenant's events and attempts hold, as far as
    /// [`Erasure::reach`] says: of an event what [`crate::domain::Event::erased`]
    /// takes out, of an attempt what [`crate::domain::Attempt::erased`] does. All
    /// else stays. Deliveries of an erased event that are not settled are
    /// cancelled; the result of an attempt that is under way is recorded without
    /// content.
    ///
    /// Once this has returned nobody reads what was erased, over restarts too,
    /// and its bytes leave the disk within minutes. Goes a part at a time: after
    /// an error some of it may be erased, and the same call erases the rest.
    /// `NotFound` if a single event is not there. What is erased already counts
    /// no more.
    async fn erase(&self, tenant: &TenantId, what: Erasure, now: Timestamp) -> Result<Erased>;
}
