//! What the schedule wants to have read, and what came of it.

use std::sync::Arc;

use super::Endpoint;
use crate::{
    domain::SubscriptionId,
    storage::{DueKey, DuePage},
};

/// Reads of the store under way at once.
pub(super) const MAX_FETCHES: usize = 8;

/// Something to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fetch {
    pub(super) subscription: SubscriptionId,
    /// Whether the subscription itself is wanted.
    pub(super) endpoint: bool,
    /// The part of its queue that is wanted.
    pub(super) queue: Option<Range>,
}

/// A part of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) after: Option<DueKey>,
    pub(super) limit: usize,
}

/// What a read found.
pub(super) struct Fetched {
    pub(super) subscription: SubscriptionId,
    /// `None` if it was not wanted or is gone.
    pub(super) endpoint: Option<Arc<Endpoint>>,
    pub(super) page: Option<DuePage>,
    pub(super) outcome: FetchOutcome,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FetchOutcome {
    Done,
    /// The subscription does not exist.
    Deleted,
    /// The store failed.
    Failed,
}
