//! Deliveries on their way out: what is due, and what came of it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};

use super::Result;
use crate::domain::{
    Attempt, Delivery, DeliveryId, Event, EventId, Next, SubscriptionId, TenantId, Timestamp,
    Trigger,
};

/// Largest payload that a hint carries, and most bytes of payloads in one.
const HINT_PAYLOAD: usize = 16 * 1024;
const HINT_PAYLOADS: usize = 1024 * 1024;

/// Place of a delivery in the queue of its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DueKey {
    /// When it is due.
    pub due: Timestamp,
    /// The delivery.
    pub delivery_id: DeliveryId,
}

/// A subscription that has deliveries waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The subscription; it may be deleted or disabled.
    pub subscription_id: SubscriptionId,
    /// The earliest of its deliveries.
    pub first: DueKey,
}

/// Counts the groups of writes a store has committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommitNumber(pub u64);

/// The next deliveries of a subscription.
#[derive(Debug, Clone)]
pub struct DuePage {
    /// The deliveries, earliest first.
    pub entries: Vec<DueKey>,
    /// Whether there are no more.
    pub complete: bool,
    /// Every commit up to this one was seen, later ones perhaps.
    pub as_of: CommitNumber,
}

/// What an attempt needs.
#[derive(Debug, Clone)]
pub struct Work {
    /// The delivery.
    pub delivery: Delivery,
    /// Its event with the payload.
    pub event: Arc<Event>,
}

/// An attempt that was made, and what follows from it.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// The attempt.
    pub attempt: Attempt,
    /// The delivery's revision when the attempt began.
    pub revision: u32,
    /// When the delivery was due then: its place in the queue.
    pub due: Timestamp,
    /// What follows.
    pub next: Next,
    /// When it ended.
    pub now: Timestamp,
}

/// Tells what became due. A hint: whoever is told that it lost some reads the
/// queue instead.
#[derive(Debug, Clone, Default)]
pub struct Hint {
    /// The commit.
    pub commit: CommitNumber,
    /// Events that were accepted.
    pub accepted: Vec<FreshEvent>,
    /// Deliveries that were changed by hand.
    pub rescheduled: Vec<Rescheduled>,
    /// Queues that other processes may have added to, each with the earliest
    /// delivery that no attempt is under way for.
    pub woken: Vec<Due>,
    /// Bytes of the payloads within.
    pub(super) carried: usize,
}

impl Hint {
    /// Adds an event, with its payload if that is small and the others of this
    /// hint leave room for it.
    pub(super) fn add(
        &mut self,
        event: Arc<Event>,
        deliveries: Vec<(DeliveryId, SubscriptionId)>,
        trigger: Trigger,
    ) {
        let size = event.payload.data.len();
        let fits = size <= HINT_PAYLOAD && self.carried + size <= HINT_PAYLOADS;
        self.carried += if fits { size } else { 0 };
        self.accepted.push(FreshEvent {
            event_id: event.id,
            due: event.due(),
            deliveries,
            trigger,
            event: fits.then_some(event),
        });
    }
}

/// An event that was accepted.
#[derive(Debug, Clone)]
pub struct FreshEvent {
    /// The event's id.
    pub event_id: EventId,
    /// When its deliveries are due.
    pub due: Timestamp,
    /// Its deliveries whose queues this process owns.
    pub deliveries: Vec<(DeliveryId, SubscriptionId)>,
    /// What causes the deliveries.
    pub trigger: Trigger,
    /// The event itself, unless it is large.
    pub event: Option<Arc<Event>>,
}

/// A delivery that was changed by hand or by a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rescheduled {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Its subscription.
    pub subscription_id: SubscriptionId,
    /// What causes it now.
    pub trigger: Trigger,
    /// When it is due now; `None` if it was cancelled.
    pub due: Option<Timestamp>,
}

/// The due index, and the results of attempts.
///
/// Nothing is written to claim a delivery: at any time one process owns the
/// queue of a subscription, and what was under way when it died is due again.
/// An embedded store's process owns all queues.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Whether this process owns the queue of the subscription now. Only then
    /// does it hear of it in hints.
    fn owns(&self, subscription: SubscriptionId) -> bool;

    /// Counts the changes of what this process owns, and the times when the
    /// store can be reached again.
    fn ownership(&self) -> watch::Receiver<u64>;

    /// Starts nothing more and gives the queues to other processes, each as
    /// soon as nothing in it is under way. There is no way back. Where no other
    /// process could own them nothing changes.
    fn hand_over(&self);

    /// Returns up to `limit` subscriptions after one, in the order of their
    /// ids, whose queues this process owns and have deliveries waiting. Its cost depends on the number of
    /// subscriptions, not of deliveries.
    async fn due_subscriptions(
        &self,
        after: Option<SubscriptionId>,
        limit: usize,
    ) -> Result<Vec<Due>>;

    /// Returns up to `limit` deliveries of a subscription after a place in its
    /// queue, earliest first, due yet or not.
    async fn due(
        &self,
        subscription: SubscriptionId,
        after: Option<DueKey>,
        limit: usize,
    ) -> Result<DuePage>;

    /// Reads what an attempt of the delivery needs; `None` if it is no longer
    /// due or its event is gone.
    async fn load_work(
        &self,
        subscription: SubscriptionId,
        delivery: DeliveryId,
    ) -> Result<Option<Work>>;

    /// Returns the first delivery of the subscription that is not settled and
    /// came before this one with the same ordering key: its event's id is
    /// smaller.
    async fn ahead_of(
        &self,
        subscription: SubscriptionId,
        ordering_key: &str,
        delivery: DeliveryId,
    ) -> Result<Option<DueKey>>;

    /// Notes that an attempt is under way, so that the delivery reads as
    /// `Delivering` and its queue stays with this process. False if the queue
    /// is not this process's: then nothing may be sent. Not durable.
    fn attempt_started(&self, subscription: SubscriptionId, delivery: DeliveryId) -> bool;

    /// Notes that an attempt was given up without a result.
    fn attempt_abandoned(&self, delivery: DeliveryId);

    /// Counts a tenant's deliveries that are due now or later, on whatever
    /// process, up to `most`.
    async fn pending(&self, tenant: &TenantId, most: u64) -> Result<u64>;

    /// Records attempts durably, each in one write: the attempt with its log
    /// position, the delivery as [`Delivery::attempted`] says, and its new
    /// place in the queue.
    ///
    /// If the delivery's revision moved on, the attempt is logged, the delivery
    /// changes only as [`Delivery::attempted_late`] says, and the attempt's
    /// `next_attempt_time` is what the delivery's is. Attempts of deliveries
    /// that are gone are dropped. `LeaseLost` if another process may own one of
    /// the queues by now: then nothing is recorded.
    async fn record_attempts(&self, records: Vec<AttemptRecord>) -> Result<()>;

    /// Cancels up to `limit` waiting deliveries of a subscription and returns
    /// how many there were.
    async fn cancel_pending(
        &self,
        subscription: SubscriptionId,
        limit: usize,
        now: Timestamp,
    ) -> Result<usize>;

    /// Tells what commits make due, each after it is durable and before the
    /// write is answered.
    fn hints(&self) -> broadcast::Receiver<Arc<Hint>>;
}
