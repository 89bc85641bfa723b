//! What happened: the facts that the rules judge, as those outside of the product
//! see them, each with the moments at which it began and ended.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use postrider::{
    dispatch,
    domain::{
        Attempt, BreakerChange, Counts, Delivery, DeliveryId, Erasure, ErrorKind, Event, EventId,
        NewEvent, Replay, Secret, Subscription, SubscriptionId, TenantId, Timestamp, Trigger,
    },
    storage::Accepted,
};

use super::clock::Moment;

/// How a call came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged.
    Done,
    /// Refused: it had no effect.
    Refused,
    /// Nobody knows: it has not returned, or the store failed meanwhile.
    Unknown,
}

/// A call of something, and its outcome.
#[derive(Debug, Clone)]
pub struct Call<T> {
    pub what: T,
    pub begin: Moment,
    /// When it returned; what is unknown never did.
    pub end: Option<Moment>,
    pub outcome: Outcome,
}

impl<T> Call<T> {
    pub fn is_done(&self) -> bool {
        self.outcome == Outcome::Done
    }

    pub fn may_have_worked(&self) -> bool {
        self.outcome != Outcome::Refused
    }

    /// Whether it was acknowledged before a time.
    pub fn is_done_before(&self, truth: u64) -> bool {
        self.is_done() && self.end.is_some_and(|end| end.truth < truth)
    }

    /// When it had its effect at the latest, if it had one.
    pub fn latest(&self) -> u64 {
        self.end.map_or(u64::MAX, |end| end.truth)
    }
}

/// A subscription as it was written; `None` once deleted.
#[derive(Debug, Clone)]
pub struct Written {
    pub id: SubscriptionId,
    pub now: Option<Arc<Subscription>>,
}

/// A change made by hand.
#[derive(Debug, Clone)]
pub enum Change {
    Retry(DeliveryId),
    Cancel(DeliveryId),
    Erase(Erasure),
    /// A replay to this subscription.
    Replay(SubscriptionId),
    /// A test of this subscription.
    Test(SubscriptionId),
    /// The subscription signs with this secret from now on, and with older ones
    /// for so long.
    Rotate(SubscriptionId, Secret, Duration),
}

/// Events that were handed in, and the answer.
#[derive(Debug, Clone)]
pub struct Published {
    pub tenant: TenantId,
    pub events: Vec<NewEvent>,
    pub accepted: Vec<Accepted>,
}

/// Events that came to the store, whoever made them.
#[derive(Debug, Clone)]
pub struct Stored {
    pub event: Arc<Event>,
    pub trigger: Trigger,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// With a `Retry-After` that asks to come no sooner than this.
    Later(u16, Timestamp),
    Failure(ErrorKind),
}

impl Answer {
    pub fn succeeds(&self) -> bool {
        matches!(self, Self::Status(200..=299))
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status) | Self::Later(status, _) => Some(*status),
            Self::Failure(_) => None,
        }
    }
}

/// A request as its receiver got it.
#[derive(Debug, Clone)]
pub struct Request {
    pub url: String,
    pub event: EventId,
    pub number: u32,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub begin: Moment,
    /// When and how it was answered; not at all if the process died before.
    pub answered: Option<(Moment, Answer)>,
}

/// An attempt that was to begin: from then on it may have read what it needs.
#[derive(Debug, Clone, Copy)]
pub struct Started {
    pub subscription: SubscriptionId,
    pub delivery: DeliveryId,
    pub at: Moment,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Crash,
    Drained,
}

/// What the store says when all is over.
#[derive(Debug, Default)]
pub struct Final {
    pub subscriptions: Vec<Arc<Subscription>>,
    pub events: Vec<Event>,
    pub deliveries: Vec<Delivery>,
    /// Of deliveries by the state they were asked for.
    pub by_state: Vec<Delivery>,
    /// The whole log.
    pub log: Vec<Arc<Attempt>>,
    /// The log by delivery, as it is listed.
    pub listed: Vec<Arc<Attempt>>,
    pub counts: BTreeMap<TenantId, Counts>,
    pub replays: Vec<Replay>,
    /// How many places the queues still have.
    pub due: u64,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub struct History {
    pub subscriptions: Vec<Call<Written>>,
    pub published: Vec<Call<Published>>,
    pub stored: Vec<Call<Vec<Stored>>>,
    pub changes: Vec<Call<Change>>,
    pub started: Vec<Started>,
    pub requests: Vec<Request>,
    /// Results of attempts, by delivery and number.
    pub recorded: Vec<Call<(DeliveryId, u32)>>,
    /// What breakers did, as the dispatcher told.
    pub breakers: Vec<(Moment, BreakerChange)>,
    /// When drains began.
    pub drains: Vec<Moment>,
    /// When the disk was full, or may have been.
    pub full: Vec<Moment>,
    /// When the wall clock was set.
    pub jumps: Vec<Moment>,
    /// How each life ended, and with which bounds it ran.
    pub lives: Vec<(End, Moment, dispatch::Settings)>,
    /// What each tenant's tail told.
    pub tails: BTreeMap<TenantId, Vec<Arc<Attempt>>>,
    pub end: Final,
    /// What could be told at once.
    pub violations: Vec<String>,
}
