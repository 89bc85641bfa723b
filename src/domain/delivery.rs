//! Deliveries and their state machine: one event on its way to one
//! subscription.
//!
//! A chain of attempts begins when the delivery is accepted and whenever it is
//! retried by hand; the retry policy counts within the chain. Every change
//! raises the revision, by which a result that comes late, after a cancel or a
//! retry by hand, is known not to decide any more.

use super::{
    DeliveryId, ErrorKind, Event, EventType, Jitter, Outcome, RetryPolicy, SubscriptionId,
    Timestamp,
};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Not tried yet in this chain.
    Pending,
    /// An attempt is under way. Never stored: the process knows it.
    Delivering,
    /// Tried without success, and due again.
    Retrying,
    /// Delivered.
    Succeeded,
    /// The last attempt failed.
    Failed,
    /// Cancelled.
    Cancelled,
}

impl DeliveryState {
    /// Whether nothing more is sent.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// What caused a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Its event was published.
    Event,
    /// It was retried by hand.
    Manual,
    /// A replay.
    Replay,
    /// A test of the subscription; never retried.
    Test,
}

/// What came of the last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastOutcome {
    /// Why it failed; `None` if it succeeded.
    pub error_kind: Option<ErrorKind>,
    /// HTTP status of the answer.
    pub response_status: Option<u16>,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The delivery succeeded.
    Succeed,
    /// The delivery is tried again at this time.
    RetryAt(Timestamp),
    /// The delivery failed: its attempts are used up.
    Exhaust,
    /// The delivery failed, and its subscription is to be disabled.
    Disable,
}

impl Next {
    /// Where the delivery then stands, and when it is due.
    pub fn place(self) -> (DeliveryState, Option<Timestamp>) {
        match self {
            Self::Succeed => (DeliveryState::Succeeded, None),
            Self::RetryAt(time) => (DeliveryState::Retrying, Some(time)),
            Self::Exhaust | Self::Disable => (DeliveryState::Failed, None),
        }
    }
}

/// Why a delivery or a replay cannot be changed as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotChangeable {
    /// It is settled already, so there is nothing to cancel.
    #[error("delivery is already settled")]
    Settled,
    /// It was attempted too often.
    #[error(
        "delivery has {} attempts, the most there can be; publish the event anew",
        Delivery::MAX_ATTEMPTS
    )]
    TooManyAttempts,
    /// There is nothing left to send.
    #[error("payload of the event was erased; publish the event anew")]
    PayloadErased,
    /// The replay has ended, so there is nothing to cancel.
    #[error("replay has already ended")]
    ReplayEnded,
}

/// One event on its way to one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, which names the event.
    pub id: DeliveryId,
    /// Where it is going.
    pub subscription_id: SubscriptionId,
    /// The event's type.
    pub event_type: EventType,
    /// The event's ordering key.
    pub ordering_key: Option<String>,
    /// Where it stands.
    pub state: DeliveryState,
    /// What caused it.
    pub trigger: Trigger,
    /// Attempts so far.
    pub attempt_count: u32,
    /// Attempts before this chain began.
    pub chain_start: u32,
    /// When this chain began.
    pub chain_time: Timestamp,
    /// When it is due; `None` once it is settled.
    pub due: Option<Timestamp>,
    /// What came of the last attempt.
    pub last_outcome: Option<LastOutcome>,
    /// Raised by every change.
    pub revision: u32,
    /// When it came to be.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

impl Delivery {
    /// Most attempts of a delivery, retries by hand included, that can be
    /// begun anew.
    pub const MAX_ATTEMPTS: u32 = 200;

    /// The event's delivery with this number, to this subscription.
    pub fn new(event: &Event, ordinal: u16, to: SubscriptionId, trigger: Trigger) -> Self {
        Self {
            id: DeliveryId::new(event.id, ordinal),
            subscription_id: to,
            event_type: event.event_type.clone(),
            ordering_key: event.ordering_key.clone(),
            state: DeliveryState::Pending,
            trigger,
            attempt_count: 0,
            chain_start: 0,
            chain_time: event.due(),
            due: Some(event.due()),
            last_outcome: None,
            revision: 0,
            create_time: event.create_time,
            update_time: event.create_time,
        }
    }

    /// Decides what follows from an attempt that ended at `now`.
    pub fn after_attempt(
        &self,
        outcome: Outcome,
        policy: &RetryPolicy,
        now: Timestamp,
        jitter: Jitter,
    ) -> Next {
        let not_before = match outcome {
            Outcome::Succeeded => return Next::Succeed,
            Outcome::Gone => return Next::Disable,
            Outcome::Failed { .. } if self.trigger == Trigger::Test => return Next::Exhaust,
            Outcome::Failed { not_before, .. } => not_before,
        };
        let attempts = self.attempt_count + 1 - self.chain_start;
        policy
            .next_attempt(attempts, self.chain_time, now, not_before, jitter)
            .map_or(Next::Exhaust, Next::RetryAt)
    }

    /// The delivery after an attempt from which `next` followed.
    #[must_use]
    pub fn attempted(&self, last: LastOutcome, next: Next, now: Timestamp) -> Self {
        let (state, due) = next.place();
        Self {
            state,
            due,
            attempt_count: self.attempt_count + 1,
            last_outcome: Some(last),
            ..self.changed(now)
        }
    }

    /// The delivery with an attempt counted that no longer decides, because
    /// the delivery was changed while the attempt was under way.
    #[must_use]
    pub fn attempted_late(&self, last: LastOutcome, now: Timestamp) -> Self {
        // A chain that was begun meanwhile has not used this attempt.
        Self {
            attempt_count: self.attempt_count + 1,
            chain_start: self.chain_start + 1,
            last_outcome: Some(last),
            ..self.changed(now)
        }
    }

    /// The delivery at the head of a fresh chain, due now.
    pub fn retried(&self, now: Timestamp) -> Result<Self, NotChangeable> {
        self.begun_anew(Trigger::Manual, now)
    }

    /// The same for another reason.
    pub(super) fn begun_anew(
        &self,
        trigger: Trigger,
        now: Timestamp,
    ) -> Result<Self, NotChangeable> {
        if self.attempt_count >= Self::MAX_ATTEMPTS {
            return Err(NotChangeable::TooManyAttempts);
        }
        Ok(Self {
            state: DeliveryState::Pending,
            trigger,
            chain_start: self.attempt_count,
            chain_time: now,
            due: Some(now),
            ..self.changed(now)
        })
    }

    /// The delivery, cancelled.
    pub fn cancelled(&self, now: Timestamp) -> Result<Self, NotChangeable> {
        if self.state.is_settled() {
            return Err(NotChangeable::Settled);
        }
        Ok(Self {
            state: DeliveryState::Cancelled,
            due: None,
            ..self.changed(now)
        })
    }

    fn changed(&self, now: Timestamp) -> Self {
        Self {
            revision: self.revision + 1,
            update_time: now.max(self.update_time),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
