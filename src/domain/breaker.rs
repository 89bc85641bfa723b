//! What a breaker did, for those who are told.

use super::{SubscriptionId, Timestamp};

/// The breaker of a subscription opened or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerChange {
    /// Whose breaker.
    pub subscription_id: SubscriptionId,
    /// Whether it opened; else an attempt succeeded and it closed.
    pub is_open: bool,
    /// When.
    pub time: Timestamp,
}
