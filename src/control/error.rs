//! Why a use case failed, by what the caller can do about it.

use std::time::Duration;

use crate::{
    domain::{
        DeliveryId, EventId, EventType, NotAllowed, NotAuthenticated, NotChangeable, Quota,
        TenantId, Violation,
    },
    storage::{self, Resource},
};

/// Result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request are wrong: all of them.
    #[error("request is invalid")]
    Invalid(Vec<Violation>),
    /// A payload, or those of a batch together, are too large.
    #[error("{field} must be at most {max} bytes, is {size}")]
    PayloadTooLarge {
        /// Where it stands in the request.
        field: String,
        /// How large it is, in bytes.
        size: usize,
        /// How large it may be, in bytes.
        max: usize,
    },
    /// There is no such thing, or it is another tenant's.
    #[error("does not exist")]
    NotFound(Resource),
    /// Nobody knows who calls.
    #[error(transparent)]
    NotAuthenticated(#[from] NotAuthenticated),
    /// The caller may not do this.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The tenant used up what it may use.
    #[error("quota of tenant {tenant} is used up: {quota}")]
    QuotaExceeded {
        /// The tenant.
        tenant: TenantId,
        /// What it used up.
        quota: Quota,
        /// When to come again.
        retry_after: Duration,
    },
    /// The etag is not the current one.
    #[error("subscription has another etag: read it again and decide anew")]
    EtagMismatch,
    /// A request id was used before for another subscription.
    #[error("request_id was used before to create another subscription")]
    RequestIdReused,
    /// An idempotency key was used before for another event.
    #[error("idempotency key was used by {first} with another type or payload")]
    KeyReused {
        /// Position in the call.
        index: usize,
        /// The event that used it first.
        first: EventId,
    },
    /// A disabled subscription receives nothing, tests neither.
    #[error("subscription is disabled: enable it first")]
    SubscriptionDisabled,
    /// The delivery cannot be changed so.
    #[error(transparent)]
    NotChangeable(#[from] NotChangeable),
    /// More subscriptions want the event than it can have deliveries.
    #[error(
        "{event_type} is wanted by {wanted_by} subscriptions; an event has at most {} deliveries",
        DeliveryId::MAX_PER_EVENT
    )]
    TooManyDeliveries {
        /// The event's type.
        event_type: EventType,
        /// How many subscriptions want it.
        wanted_by: usize,
    },
    /// Others changed the same thing again and again.
    #[error("too many changes at once: try again")]
    Contended,
    /// The test was sent and its result did not come in time.
    #[error("result of the test did not come in time: see the attempts of {0}")]
    TestPending(EventId),
    /// The disk is full. Writes return by themselves.
    #[error("disk is full")]
    DiskFull,
    /// The store or the server is going away.
    #[error("server is not available")]
    Unavailable,
    /// More is under way than the server takes at once.
    #[error("server has too much under way: try again")]
    Overloaded,
    /// The caller's deadline passed. Whether a write happened is known to nobody.
    #[error(
        "deadline passed; if this was a write it may have happened: try again with the same \
         idempotency key or request_id"
    )]
    DeadlineExceeded,
    /// What is stored was changed by something else.
    #[error(
        "what is stored is damaged, so it is not shown; the server's log says what, and \
         `postrider storage check` finds all of it"
    )]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store failed, or the program did.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// One wrong field.
    pub fn invalid(field: impl Into<String>, description: impl std::fmt::Display) -> Self {
        Self::Invalid(vec![Violation {
            field: field.into(),
            description: description.to_string(),
        }])
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::NotFound(resource) => Self::NotFound(resource),
            storage::Error::VersionMismatch => Self::EtagMismatch,
            storage::Error::StaleSubscriptions => Self::Contended,
            storage::Error::KeyReused { index, first } => Self::KeyReused { index, first },
            storage::Error::NotChangeable(why) => Self::NotChangeable(why),
            storage::Error::Full => Self::DiskFull,
            storage::Error::Closed(_) | storage::Error::Unavailable(_) => Self::Unavailable,
            error @ storage::Error::Corrupt(_) => Self::Damaged(Box::new(error)),
            error @ (storage::Error::Sealed(_)
            | storage::Error::Engine(_)
            | storage::Error::LeaseLost) => Self::Internal(Box::new(error)),
        }
    }
}
