//! What any storage engine must do, phrased in the domain's intents.
//!
//! Every durable step is one call, which is atomic and, once it has returned,
//! on disk: it survives a kill and a power cut. There is no transaction object.
//! Feeds are hints: whoever loses one finds the same by reading.

mod bytes;
mod catalog;
mod check;
mod copy;
mod day;
pub mod embedded;
mod engine;
mod erase;
mod error;
mod idempotency;
mod ingest;
mod keys;
mod log;
mod page;
pub mod postgres;
mod queue;
mod replay;
mod retain;
mod row;
mod stats;
mod transfer;
mod walk;

pub use catalog::{Catalog, Created, SubscriptionChange, TenantSubscriptions, TenantVersion};
pub use check::{Checked, Finding, Found};
pub use copy::{CopyError, Differences, Progress, copy};
pub use engine::{Engine, Health, Purpose};
pub use erase::{Erase, Erased};
pub use error::{Error, Resource, Result};
pub use ingest::{AcceptEvents, Accepted, Ingest, Routed};
pub use keys::Keys;
pub use log::{DeliveryChange, EventFilter, Log, LogPosition, LogSlice, View};
pub use page::{BadToken, Cursor, Page, PageRequest, Token};
pub use queue::{
    AttemptRecord, CommitNumber, Due, DueKey, DuePage, FreshEvent, Hint, Queue, Rescheduled, Work,
};
pub use replay::{Candidate, Candidates, ReplayAdvance, ReplayChange, Replays};
pub use retain::{Removed, RemovedEvents, Retention};
pub use stats::Stats;
pub use transfer::{
    Chunk, ChunkSize, Copying, Counts, DayCounts, Occupancy, Stored, Totals, Transfer,
};
