//! What a tenant may use of a server that it shares.

use std::fmt;

use super::RateLimit;

/// What a tenant may use; whatever is `None` has no bound.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quotas {
    /// Events published.
    pub events: Option<RateLimit>,
    /// Payloads published, in KiB.
    pub payloads: Option<RateLimit>,
    /// Subscriptions there are at once.
    pub subscriptions: Option<u32>,
    /// Deliveries that are pending when an event is published.
    pub pending: Option<u64>,
}

/// A quota that is used up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quota {
    /// [`Quotas::events`].
    Events(RateLimit),
    /// [`Quotas::payloads`].
    Payloads(RateLimit),
    /// [`Quotas::subscriptions`].
    Subscriptions(u32),
    /// [`Quotas::pending`].
    Pending(u64),
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events(limit) => write!(
                f,
                "{} events a second may be published, {} at once",
                limit.per_second(),
                limit.burst()
            ),
            Self::Payloads(limit) => write!(
                f,
                "{} KiB of payloads a second may be published",
                limit.per_second()
            ),
            Self::Subscriptions(most) => write!(f, "there may be {most} subscriptions"),
            Self::Pending(most) => {
                write!(
                    f,
                    "{most} deliveries may be pending when an event is published"
                )
            }
        }
    }
}
