//! The embedded engine: a store in a directory that one process owns.
//!
//! Rows, keys, group commit and day partitions are written once, over the small
//! key-value seam of `kv`; one adapter a file stands behind it. Everything of
//! an event lives in the partition of its day, subscriptions in a catalog
//! beside them. All writes go through one committer, which syncs a group of
//! them at once; reads go past it.

mod accept;
mod catalog;
mod change;
mod committer;
mod day;
mod dir;
mod fjall;
mod folder;
mod group;
mod index;
mod key;
mod kv;
mod list;
mod log;
mod memory;
mod open;
mod piece;
mod queue;
mod rest;
mod retain;
mod room;
mod sled;
mod state;
mod store;
mod tail;
mod walk;
mod write;

#[cfg(test)]
mod tests;

use super::row;

pub use dir::OpenError;
pub use memory::Disk;
pub use open::{Adapter, Settings, open, open_in_memory};
