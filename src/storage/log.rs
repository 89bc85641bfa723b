//! What became of events: reads of events, deliveries and the log of attempts.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Page, PageRequest, Result};
use crate::domain::{
    Attempt, Delivery, DeliveryFilter, DeliveryId, Event, EventId, EventPattern, TenantId,
    TimeRange, Timestamp,
};

/// How much of an event is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Everything but the payload's bytes, which are empty.
    Basic,
    /// Everything.
    Full,
}

/// Which events a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// Only types that one of these matches; every type if empty.
    pub types: Vec<EventPattern>,
    /// Only events accepted then.
    pub accepted: TimeRange,
}

/// A place in the log of attempts. Positions grow in the order in which
/// attempts become visible, over restarts too, so a reader that goes on after
/// one misses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition(pub u64);

/// A piece of the log.
#[derive(Debug, Clone, Default)]
pub struct LogSlice {
    /// The attempts, in order.
    pub attempts: Vec<(LogPosition, Arc<Attempt>)>,
    /// Set if the log before this slice is no longer complete: attempts of
    /// events accepted before this time were removed.
    pub removed_before: Option<Timestamp>,
}

/// A change asked for by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryChange {
    /// [`Delivery::retried`].
    Retry,
    /// [`Delivery::cancelled`].
    Cancel,
}

/// Reads events, deliveries and attempts, and changes deliveries by hand.
///
/// Deliveries under way read as `Delivering`; unsettled deliveries of a deleted
/// subscription read as `Cancelled`. Lists are newest first; a page looks at a
/// bounded number of rows, and pages stay stable under writes.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Returns an event.
    async fn event(&self, tenant: &TenantId, id: EventId, view: View) -> Result<Event>;

    /// Lists events.
    async fn list_events(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        view: View,
        page: PageRequest,
    ) -> Result<Page<Event>>;

    /// Returns a delivery.
    async fn delivery(&self, tenant: &TenantId, id: DeliveryId) -> Result<Delivery>;

    /// Lists deliveries.
    async fn list_deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<Delivery>>;

    /// Lists attempts: by delivery, and within a delivery newest first.
    async fn list_attempts(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<Arc<Attempt>>>;

    /// Changes a delivery by hand and tells the queue's feed.
    async fn change_delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
        change: DeliveryChange,
        now: Timestamp,
    ) -> Result<Delivery>;

    /// Returns up to `limit` attempts of all tenants after a position, in
    /// order.
    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogSlice>;

    /// Returns the position right before the first attempt recorded at or
    /// after the time.
    async fn position_before(&self, time: Timestamp) -> Result<LogPosition>;

    /// The position of the last attempt, as it grows. What is at or before it
    /// can be read.
    fn log_end(&self) -> watch::Receiver<LogPosition>;
}
