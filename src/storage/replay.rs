//! Replays: what they look at, and each step of theirs.

use async_trait::async_trait;

use super::{Page, PageRequest, Result};
use crate::domain::{
    Delivery, EventId, EventType, Outcomes, Replay, ReplayId, SubscriptionId, TenantId, Timestamp,
};

/// An event that a replay looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Its delivery to the replay's subscription, if there is one.
    pub delivery: Option<Delivery>,
}

/// The next events that a replay looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// The events, oldest first, without the samples of tests and without those
    /// whose payload was erased.
    pub items: Vec<Candidate>,
    /// The last event that was read; `None` if there are no more.
    pub next: Option<EventId>,
}

/// A step of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayAdvance {
    /// Whose replay.
    pub tenant: TenantId,
    /// Which.
    pub id: ReplayId,
    /// Up to where it had come: the step is void if that is not so any more.
    pub after: Option<EventId>,
    /// The events whose deliveries it begins.
    pub events: Vec<EventId>,
    /// Up to where it has come then; `None` if there are no more events.
    pub up_to: Option<EventId>,
    /// When.
    pub now: Timestamp,
}

/// A change of a replay beside its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayChange {
    /// [`Replay::cancelled`].
    Cancel,
    /// [`Replay::counted`].
    Count(Outcomes),
}

/// Keeps replays, and makes their steps.
#[async_trait]
pub trait Replays: Send + Sync + 'static {
    /// Stores a new replay.
    async fn create_replay(&self, replay: Replay) -> Result<()>;

    /// Returns a replay.
    async fn replay(&self, tenant: &TenantId, id: ReplayId) -> Result<Replay>;

    /// Lists a tenant's replays, newest first.
    async fn list_replays(&self, tenant: &TenantId, page: PageRequest) -> Result<Page<Replay>>;

    /// Returns the replays of all tenants that are running, oldest first.
    async fn running_replays(&self) -> Result<Vec<Replay>>;

    /// Returns up to `limit` of the events that the replay looks at next.
    async fn candidates(&self, replay: &Replay, limit: usize) -> Result<Candidates>;

    /// Makes a step: begins the deliveries of these events, by
    /// [`Replay::step`] as each stands now, tells the queue's feed, and notes
    /// how far the replay has come. A delivery that never was gets the next
    /// free ordinal of its event.
    ///
    /// All of it survives a crash, or the step is repeated: then deliveries
    /// that it had begun are counted and not begun again. Returns the replay,
    /// unchanged where the step was void; `NotFound` if its subscription is
    /// gone.
    async fn advance_replay(&self, advance: ReplayAdvance) -> Result<Replay>;

    /// Changes a replay and returns it.
    async fn change_replay(
        &self,
        tenant: &TenantId,
        id: ReplayId,
        change: ReplayChange,
        now: Timestamp,
    ) -> Result<Replay>;
}

impl ReplayChange {
    /// The replay with this change.
    pub(super) fn of(self, replay: &Replay, now: Timestamp) -> Result<Replay> {
        Ok(match self {
            Self::Cancel => replay.cancelled(now)?,
            Self::Count(outcomes) => replay.counted(outcomes, now),
        })
    }
}

/// Whether the ids that an event goes to have this subscription, and as which
/// of its deliveries.
pub(super) fn ordinal_of(subscriptions: &[SubscriptionId], id: SubscriptionId) -> Option<u16> {
    let place = subscriptions.iter().position(|known| *known == id)?;
    u16::try_from(place).ok()
}
