//! The embedded engine: a store in a directory that one process owns.
//!
//! Rows, keys, group commit and day partitions are written once, over the small
//! key-value seam of `kv`; one adapter a file stands behind it. Everything of
//! an event lives in the partition of its day, subscriptions in a catalog
//! beside them. All writes go through one committer, which syncs a group of
//! them at once; reads go past it.

mod accept;
mod api_key;
mod catalog;
mod change;
mod check;
mod commits;
mod committer;
mod count;
mod day;
mod dir;
mod erase;
mod export;
mod fjall;
mod folder;
mod forget;
mod group;
mod home;
mod import;
mod index;
mod key;
mod kv;
mod list;
mod log;
mod memory;
mod open;
mod piece;
mod queue;
mod replay;
mod rest;
mod retain;
mod rewrap;
mod rewrite;
mod room;
mod sled;
mod state;
mod stats;
mod store;
mod tail;
mod tally;
mod threads;
mod transfer;
mod turns;
mod untimed;
mod walk;
mod witness;
mod write;

#[cfg(test)]
mod tests;

use super::{bytes, row};

pub use check::check;
pub use dir::OpenError;
pub use memory::Disk;
pub use open::{Adapter, Settings, open, open_for, open_in_memory};
pub use rewrap::rewrap;
pub use threads::Threads;
