//! Which deliveries and attempts a list or a tail shows.

use super::{
    Attempt, Delivery, DeliveryId, DeliveryState, ErrorKind, EventId, EventPattern, EventType,
    SubscriptionId, Timestamp,
};

/// From a time up to, not including, another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First time within.
    pub start: Timestamp,
    /// First time beyond.
    pub end: Timestamp,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self {
        start: Timestamp::MIN,
        end: Timestamp::MAX,
    };

    /// Whether the time is within.
    pub fn contains(&self, time: Timestamp) -> bool {
        (self.start..self.end).contains(&time)
    }
}

/// Every part that is set must match; an empty list matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only this subscription.
    pub subscription_id: Option<SubscriptionId>,
    /// Only this event.
    pub event_id: Option<EventId>,
    /// Only this delivery.
    pub delivery_id: Option<DeliveryId>,
    /// Only event types that one of these matches.
    pub event_types: Vec<EventPattern>,
    /// Only these states.
    pub states: Vec<DeliveryState>,
    /// Only statuses of these classes (2 for 2xx).
    pub status_classes: Vec<u16>,
    /// Only these errors.
    pub error_kinds: Vec<ErrorKind>,
    /// Only deliveries of events accepted then.
    pub accepted: TimeRange,
}

impl Default for DeliveryFilter {
    fn default() -> Self {
        Self {
            subscription_id: None,
            event_id: None,
            delivery_id: None,
            event_types: Vec::new(),
            states: Vec::new(),
            status_classes: Vec::new(),
            error_kinds: Vec::new(),
            accepted: TimeRange::ALL,
        }
    }
}

impl DeliveryFilter {
    /// Whether the delivery is shown, by its last attempt where the filter
    /// speaks of one.
    pub fn shows_delivery(&self, delivery: &Delivery) -> bool {
        let last = delivery.last_outcome;
        self.shows_source(delivery.id, delivery.subscription_id, &delivery.event_type)
            && any(&self.states, |state| *state == delivery.state)
            && self.shows_outcome(
                last.and_then(|last| last.response_status),
                last.and_then(|last| last.error_kind),
            )
    }

    /// Whether the attempt is shown. States do not matter here.
    pub fn shows_attempt(&self, attempt: &Attempt) -> bool {
        self.shows_source(
            attempt.delivery_id,
            attempt.subscription_id,
            &attempt.event_type,
        ) && self.shows_outcome(attempt.response_status, attempt.error_kind)
    }

    /// Whether attempts of the delivery can be shown at all.
    pub fn shows_source(
        &self,
        delivery: DeliveryId,
        subscription: SubscriptionId,
        event_type: &EventType,
    ) -> bool {
        self.delivery_id.is_none_or(|id| id == delivery)
            && self.event_id.is_none_or(|id| id == delivery.event_id())
            && self.subscription_id.is_none_or(|id| id == subscription)
            && self.accepted.contains(delivery.time())
            && any(&self.event_types, |pattern| pattern.matches(event_type))
    }

    fn shows_outcome(&self, status: Option<u16>, error: Option<ErrorKind>) -> bool {
        any(&self.status_classes, |class| {
            status.is_some_and(|status| status / 100 == *class)
        }) && any(&self.error_kinds, |kind| error == Some(*kind))
    }
}

/// Whether the list is empty or one of its values fits.
fn any<T>(values: &[T], fits: impl FnMut(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(fits)
}
