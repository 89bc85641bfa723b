//! A storage engine as a whole: its parts, its health and its end.

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Catalog, Erase, Ingest, Keys, Log, Queue, Replays, Retention, Stats, Transfer};

/// Whether a store takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Writable,
    /// The disk is full: writes are refused until there is space again.
    Full,
    /// The database cannot be reached, for the time being.
    Unavailable,
    /// A write could not be made durable, so nothing is acknowledged any more
    /// and the process has to end. Says what failed.
    Failed(String),
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be served; it is made if there is none.
    Serve,
    /// To be looked at or copied from; there has to be one.
    Read,
    /// To be copied into; it is made if there is none.
    CopyInto,
}

/// A storage engine.
#[async_trait]
pub trait Engine:
    Catalog + Erase + Ingest + Keys + Log + Queue + Replays + Retention + Stats + Transfer
{
    /// Whether the store takes writes, as it changes.
    fn health(&self) -> watch::Receiver<Health>;

    /// Finishes the writes that were taken, refuses new ones, and lets go of
    /// the store. Closing twice is as good as once.
    async fn close(&self);
}
