//! What can go wrong in a store, by what the caller can do about it.

use crate::domain::{
    ApiKeyId, DeliveryId, EventId, NotChangeable, ReplayId, SealId, SubscriptionId,
};

/// Result of a storage call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A subscription.
    Subscription(SubscriptionId),
    /// An event.
    Event(EventId),
    /// A delivery.
    Delivery(DeliveryId),
    /// A replay.
    Replay(ReplayId),
    /// An API key.
    ApiKey(ApiKeyId),
}

/// Why a storage call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or it is another tenant's.
    #[error("{0:?} does not exist")]
    NotFound(Resource),
    /// Someone else changed the subscription first. Read it and decide anew.
    #[error("subscription was changed meanwhile")]
    VersionMismatch,
    /// The tenant's subscriptions changed since they were read. Read them and
    /// route the events anew.
    #[error("subscriptions of the tenant were changed meanwhile")]
    StaleSubscriptions,
    /// An idempotency key was used before with another type or payload.
    #[error("idempotency key of event {index} was used by {first} with other content")]
    KeyReused {
        /// Which event of the call.
        index: usize,
        /// The event that used the key first.
        first: EventId,
    },
    /// The delivery or the replay cannot be changed so.
    #[error(transparent)]
    NotChangeable(#[from] NotChangeable),
    /// The disk is full. Writes return by themselves once there is space.
    #[error("disk is full")]
    Full,
    /// Another process owns the queue by now. What was to be written is void.
    #[error("queue is no longer this process's")]
    LeaseLost,
    /// The database cannot be reached. Whether a write happened is known to
    /// nobody; calls work again by themselves once it is back.
    #[error("store cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store is closing or can no longer acknowledge writes. Whether a
    /// write happened is known to nobody.
    #[error("store takes no more writes: {0}")]
    Closed(String),
    /// Stored bytes make no sense.
    #[error("store is corrupt: {0}")]
    Corrupt(String),
    /// Secrets were sealed under a key that this process does not have.
    #[error(
        "secrets are sealed under the key {0}, which is not one of those in secrets.key; add it \
         after the newest"
    )]
    Sealed(SealId),
    /// The engine failed.
    #[error("storage engine failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An error with its causes.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
