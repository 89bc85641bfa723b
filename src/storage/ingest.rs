//! Events on their way in.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Result, TenantVersion};
use crate::domain::{Event, EventId, SubscriptionId, TenantId, Trigger};

/// An event and where it goes.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The event.
    pub event: Arc<Event>,
    /// The subscriptions that want it; the position of each is the ordinal of
    /// its delivery.
    pub subscriptions: Vec<SubscriptionId>,
    /// What causes the deliveries.
    pub trigger: Trigger,
}

/// Events of one tenant to be accepted together.
#[derive(Debug, Clone)]
pub struct AcceptEvents {
    /// Whose events.
    pub tenant: TenantId,
    /// The version of the tenant's subscriptions by which they were routed;
    /// `None` if it is recent enough for certain, or does not matter.
    pub routed_at: Option<TenantVersion>,
    /// The events.
    pub events: Vec<Routed>,
}

/// An event that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The event; the earlier one of a duplicate.
    pub event_id: EventId,
    /// Whether an earlier event had the same idempotency key.
    pub duplicate: bool,
    /// Its deliveries.
    pub delivery_count: u32,
}

/// Takes events in.
#[async_trait]
pub trait Ingest: Send + Sync + 'static {
    /// Accepts all of the events, or none: the event, a due delivery for each
    /// of its subscriptions, and its idempotency key, in one durable write.
    ///
    /// An event whose idempotency key was accepted within the last 7 days, or
    /// earlier in the same call, is a duplicate and writes nothing; `KeyReused`
    /// if its type or payload differ. `StaleSubscriptions` if the tenant's
    /// subscriptions are not of the version `routed_at`. Answers in the order
    /// of the events.
    async fn accept_events(&self, events: AcceptEvents) -> Result<Vec<Accepted>>;
}
