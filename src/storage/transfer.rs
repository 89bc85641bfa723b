//! Everything of a store as records that any engine can take, so that a store
//! can be copied from one engine to another; and how much there is of it.
//!
//! Nobody else uses a store while it is copied.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Cursor, LogPosition, Result};
use crate::domain::{
    ApiKey, Attempt, Delivery, Event, Replay, Subscription, SubscriptionId, TenantId, Timestamp,
};

/// One thing that a store holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// A subscription.
    Subscription(Arc<Subscription>),
    /// A request id that is remembered, until 7 days after the subscription
    /// that it created came to be.
    Request {
        /// The request id.
        id: String,
        /// The subscription as it was created, whatever became of it.
        created: Box<Subscription>,
    },
    /// A replay.
    Replay(Box<Replay>),
    /// An API key, which is good where its hash was made by the same key.
    ApiKey(Box<ApiKey>),
    /// What retention removed, for [`super::LogSlice::removed_before`].
    Removed {
        /// Attempts of events accepted before this time were removed.
        before: Timestamp,
        /// Whoever read up to here or further missed none of them. New
        /// positions come after it.
        last: LogPosition,
    },
    /// An event with its payload. What is known of its idempotency key follows
    /// from it.
    Event {
        /// The event.
        event: Arc<Event>,
        /// The subscriptions it goes to; the position of each is the ordinal of
        /// its delivery.
        subscriptions: Vec<SubscriptionId>,
    },
    /// A delivery as it is stored, and by it the place in its queue.
    Delivery {
        /// Whose delivery.
        tenant: TenantId,
        /// The delivery; its state is not `Delivering`.
        delivery: Delivery,
    },
    /// An attempt.
    Attempt {
        /// Its place in the log, which it keeps: the tokens of tails go on
        /// working. Later ones come after it.
        position: LogPosition,
        /// When it was recorded.
        recorded: Timestamp,
        /// The attempt.
        attempt: Arc<Attempt>,
    },
}

/// How much is read at once: a chunk ends at either bound, after one record at
/// least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSize {
    /// Most records, above zero.
    pub records: usize,
    /// Bytes of payloads and answers.
    pub bytes: usize,
}

/// A piece of a store.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// What is in it; perhaps nothing, even if it is not the last.
    pub records: Vec<Stored>,
    /// Where the next one begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// A copy into a store that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copying {
    /// Names the store that is copied.
    pub source: String,
    /// Stands for what that store held when the copy began.
    pub fingerprint: Vec<u8>,
    /// What was imported, as the source's own cursor; nothing yet if `None`.
    pub after: Option<Cursor>,
    /// How many records were imported.
    pub done: u64,
}

/// What a store is to a copy into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupancy {
    /// Nothing was ever written to it.
    Empty,
    /// A copy into it was begun and not finished.
    Copying(Copying),
    /// It holds something else, perhaps a finished copy.
    Used,
}

/// How many rows there are of each kind. The same in every engine that holds
/// the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Subscriptions.
    pub subscriptions: u64,
    /// The sum of their versions, which every change raises.
    pub subscription_versions: u64,
    /// Request ids that are remembered.
    pub requests: u64,
    /// API keys.
    pub api_keys: u64,
    /// Those of them that were revoked.
    pub revoked_api_keys: u64,
    /// Events.
    pub events: u64,
    /// Events whose payload was erased.
    pub erased: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Deliveries that are due, now or later.
    pub due: u64,
    /// Attempts.
    pub attempts: u64,
    /// Idempotency keys, the expired ones of days that are still there too.
    pub idempotency_keys: u64,
}

/// What a store holds of one day of acceptance, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCounts {
    /// When the day begins.
    pub day: Timestamp,
    /// Its events.
    pub events: u64,
    /// Those of them whose payload was erased.
    pub erased: u64,
    /// Their deliveries.
    pub deliveries: u64,
    /// Those of them that are due, now or later.
    pub due: u64,
    /// Their attempts.
    pub attempts: u64,
    /// Their idempotency keys.
    pub idempotency_keys: u64,
    /// What all that takes of the disk.
    pub bytes: u64,
    /// Whether nothing of it is kept open.
    pub at_rest: bool,
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Which engine keeps the store, and in which format.
    pub format: String,
    /// Of the whole store.
    pub totals: Totals,
    /// By day, oldest first.
    pub days: Vec<DayCounts>,
    /// Room that is left, in bytes, where that is known.
    pub free: Option<u64>,
}

/// Reads a store as a whole and restores it.
#[async_trait]
pub trait Transfer: Send + Sync + 'static {
    /// Reads on after a cursor, from the beginning if `None`. All chunks
    /// together hold everything once, each event before its deliveries, and
    /// each delivery before its attempts, which come in the order of the log.
    ///
    /// A cursor is good for as long as nothing is written to the store, over
    /// restarts too.
    async fn export(&self, after: Option<Cursor>, size: ChunkSize) -> Result<Chunk>;

    /// Stores records as they are, durably, in the order of an export; raises
    /// no hints. What is there already is replaced by itself, so that records
    /// can be imported again after a crash in the middle of them. `Full`
    /// leaves the store as it was, or with some of the records.
    async fn import(&self, records: Vec<Stored>) -> Result<()>;

    /// Whether the store can be copied into.
    async fn occupancy(&self) -> Result<Occupancy>;

    /// Notes durably how far a copy into the store has come; `None` when it is
    /// finished. Until then nobody can serve the store.
    async fn note_copy(&self, copy: Option<Copying>) -> Result<()>;

    /// Counts everything, by reading it.
    async fn counts(&self) -> Result<Counts>;
}
