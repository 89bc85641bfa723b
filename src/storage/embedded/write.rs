//! What callers ask of the committer.

use tokio::sync::oneshot;

use super::{
    accept::Accepting, api_key::KeyWrite, change::CatalogChange, day::Day, erase::Erasing,
    forget::Forgetting, replay::ReplayWrite,
};
use crate::{
    domain::{ApiKey, Delivery, DeliveryId, Replay, SubscriptionId, TenantId, Timestamp},
    storage::{
        Accepted, AttemptRecord, Copying, Created, DeliveryChange, Erased, Removed, RemovedEvents,
        Result, Stored,
    },
};

/// Where the answer to a write goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// A write that waits to become durable.
pub(super) enum Write {
    /// Events to be taken in.
    Accept(Accepting, Reply<Vec<Accepted>>),
    /// Attempts that were made.
    Record(Vec<AttemptRecord>, Reply<()>),
    /// A delivery to be changed by hand.
    Change(Change, Reply<Delivery>),
    /// Waiting deliveries to be cancelled.
    CancelPending(CancelPending, Reply<usize>),
    /// Days that ended before this one begins, to be removed.
    Remove(Day, Reply<Removed>),
    /// Events to be erased.
    Erase(Erasing, Reply<Erased>),
    /// Events to be removed.
    Forget(Forgetting, Reply<RemovedEvents>),
    /// A piece of a day that something was taken out of, to be written anew.
    /// Answers whether there is more of it.
    Rewrite(Reply<bool>),
    /// A change of a subscription.
    Catalog(CatalogChange, Reply<Created>),
    /// A replay, or a step of one.
    Replay(ReplayWrite, Reply<Replay>),
    /// An API key, or the end of one.
    Key(KeyWrite, Reply<ApiKey>),
    /// A piece of another store.
    Import(Vec<Stored>, Reply<()>),
    /// How far a copy into the store has come.
    NoteCopy(Option<Copying>, Reply<()>),
}

/// See [`crate::storage::Log::change_delivery`].
pub(super) struct Change {
    pub(super) tenant: TenantId,
    pub(super) id: DeliveryId,
    pub(super) what: DeliveryChange,
    pub(super) now: Timestamp,
}

/// See [`crate::storage::Queue::cancel_pending`].
pub(super) struct CancelPending {
    pub(super) subscription: SubscriptionId,
    pub(super) limit: usize,
    pub(super) now: Timestamp,
}

impl Write {
    /// How much of a group it takes; `None` if it is a group by itself.
    pub(super) fn weight(&self) -> Option<usize> {
        match self {
            Self::Accept(call, _) => Some(call.events.len()),
            Self::Record(records, _) => Some(records.len()),
            Self::Change(..) => Some(1),
            Self::CancelPending(..)
            | Self::Remove(..)
            | Self::Erase(..)
            | Self::Forget(..)
            | Self::Rewrite(..)
            | Self::Catalog(..)
            | Self::Replay(..)
            | Self::Key(..)
            | Self::Import(..)
            | Self::NoteCopy(..) => None,
        }
    }
}
