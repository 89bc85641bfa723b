//! Replays: deliveries of the past sent once more, or for the first time.
//!
//! A replay looks at the events of its tenant in the order of their ids and
//! decides for each what is to be done about its delivery to one subscription.
//! Whatever it begins has a chain of attempts that is not older than the replay
//! itself. So a delivery that was begun since, by this replay or by anybody, is
//! known as such and never begun again, wherever a replay has to repeat a step.

use std::num::NonZeroU32;

use super::{
    Delivery, DeliveryState, Event, EventId, EventPattern, EventType, NotChangeable, ReplayId,
    Subscription, SubscriptionId, TenantId, TimeRange, Timestamp, Trigger,
};

/// Which deliveries a replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayMode {
    /// Those that failed.
    Failed,
    /// Those that never were, of events that the subscription wants now.
    Missing,
    /// Those that are settled, whatever came of them, and those that never were.
    All,
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayState {
    /// It begins deliveries, or waits for those that it began.
    Running,
    /// Everything that it began is settled.
    Completed,
    /// Cancelled; what it began goes on.
    Cancelled,
}

/// What is replayed, and how fast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaySpec {
    /// To which subscription.
    pub subscription_id: SubscriptionId,
    /// Only event types that one of these matches; every type if empty.
    pub event_types: Vec<EventPattern>,
    /// Only events accepted then.
    pub accepted: TimeRange,
    /// Which of their deliveries.
    pub mode: ReplayMode,
    /// Most deliveries begun in a second.
    pub rate_limit: NonZeroU32,
}

/// What came of the deliveries that a replay began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// Delivered.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
    /// Still on their way.
    pub open: u64,
}

/// A replay and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// Whose replay.
    pub tenant: TenantId,
    /// What it does.
    pub spec: ReplaySpec,
    /// Where it stands.
    pub state: ReplayState,
    /// Deliveries that it was to begin when it was created.
    pub total: u64,
    /// Deliveries that it began.
    pub done: u64,
    /// What came of those, when they were last counted.
    pub outcomes: Outcomes,
    /// Events up to this one were looked at.
    pub after: Option<EventId>,
    /// Whether all were.
    pub all_begun: bool,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

/// What a replay does about a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayStep {
    /// Nothing.
    Leave,
    /// It is begun.
    Begin,
    /// It was begun before, by a step that is repeated, and counts.
    Count,
}

impl ReplaySpec {
    /// Deliveries begun in a second, where the caller does not say.
    pub const DEFAULT_RATE: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");
    /// Most that may be asked for.
    pub const MAX_RATE: u32 = 10_000;
}

impl Replay {
    /// A replay that has yet to begin.
    pub fn new(id: ReplayId, tenant: TenantId, spec: ReplaySpec, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            spec,
            state: ReplayState::Running,
            total: 0,
            done: 0,
            outcomes: Outcomes::default(),
            after: None,
            all_begun: false,
            create_time: now,
            update_time: now,
        }
    }

    /// When its events were accepted: none after it was created.
    pub fn accepted(&self) -> TimeRange {
        TimeRange {
            end: self.spec.accepted.end.min(self.create_time),
            ..self.spec.accepted
        }
    }

    /// What to do about the delivery of an event to the subscription, if there
    /// is one.
    pub fn step(
        &self,
        subscription: &Subscription,
        event_type: &EventType,
        delivery: Option<&Delivery>,
    ) -> ReplayStep {
        let types = &self.spec.event_types;
        if !types.is_empty() && !types.iter().any(|pattern| pattern.matches(event_type)) {
            return ReplayStep::Leave;
        }
        let begins = match delivery {
            None => {
                self.spec.mode != ReplayMode::Failed && subscription.spec.events.matches(event_type)
            }
            Some(delivery) if self.has_begun(delivery) => return ReplayStep::Count,
            Some(delivery) if delivery.trigger == Trigger::Test => false,
            Some(delivery) if delivery.chain_time >= self.create_time => false,
            Some(delivery) => match self.spec.mode {
                ReplayMode::Failed => delivery.state == DeliveryState::Failed,
                ReplayMode::Missing => false,
                ReplayMode::All => delivery.state.is_settled(),
            },
        };
        if begins {
            ReplayStep::Begin
        } else {
            ReplayStep::Leave
        }
    }

    /// Whether it began the delivery, or another replay that might have been
    /// this one did since.
    pub fn has_begun(&self, delivery: &Delivery) -> bool {
        let is_new = delivery.create_time >= self.create_time;
        let is_ours = match self.spec.mode {
            ReplayMode::Failed => !is_new,
            ReplayMode::Missing => is_new,
            ReplayMode::All => true,
        };
        is_ours && delivery.trigger == Trigger::Replay && delivery.chain_time >= self.create_time
    }

    /// A delivery that never was, due now.
    pub fn first(&self, event: &Event, ordinal: u16, now: Timestamp) -> Delivery {
        let now = now.max(self.create_time);
        let subscription = self.spec.subscription_id;
        Delivery {
            chain_time: now,
            due: Some(now),
            create_time: now,
            update_time: now,
            ..Delivery::new(event, ordinal, subscription, Trigger::Replay)
        }
    }

    /// A delivery at the head of a fresh chain, due now.
    pub fn again(&self, delivery: &Delivery, now: Timestamp) -> Result<Delivery, NotChangeable> {
        delivery.begun_anew(Trigger::Replay, now.max(self.create_time))
    }

    /// Whether a step that goes on after this event is the next one.
    pub fn is_at(&self, after: Option<EventId>) -> bool {
        self.state == ReplayState::Running && !self.all_begun && self.after == after
    }

    /// After a step that began so many deliveries and looked at events up to
    /// this one; at all that there are if it is `None`.
    #[must_use]
    pub fn advanced(&self, begun: u64, up_to: Option<EventId>, now: Timestamp) -> Self {
        Self {
            done: self.done + begun,
            after: up_to.or(self.after),
            all_begun: up_to.is_none(),
            ..self.changed(now)
        }
    }

    /// With what came of its deliveries by now. It is completed once all of
    /// them were begun and are settled.
    #[must_use]
    pub fn counted(&self, outcomes: Outcomes, now: Timestamp) -> Self {
        if self.state != ReplayState::Running {
            return self.clone();
        }
        let is_over = self.all_begun && outcomes.open == 0;
        Self {
            outcomes,
            state: if is_over {
                ReplayState::Completed
            } else {
                ReplayState::Running
            },
            ..self.changed(now)
        }
    }

    /// The replay, which begins nothing more.
    pub fn cancelled(&self, now: Timestamp) -> Result<Self, NotChangeable> {
        if self.state != ReplayState::Running {
            return Err(NotChangeable::ReplayEnded);
        }
        Ok(Self {
            state: ReplayState::Cancelled,
            ..self.changed(now)
        })
    }

    fn changed(&self, now: Timestamp) -> Self {
        Self {
            update_time: now.max(self.update_time),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
