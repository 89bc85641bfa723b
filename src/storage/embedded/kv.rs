//! The seam between the embedded engine and a key-value store: ordered bytes in
//! partitions, and nothing that knows what they mean.

use std::{
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use super::threads::Threads;

/// Result of a call at the seam.
pub(super) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call at the seam failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Stored bytes make no sense.
    #[error("partition is corrupt: {0}")]
    Corrupt(String),
    /// The store cannot be read by this program.
    #[error("{0}")]
    Unsupported(String),
    /// There is no room; nothing was written.
    #[error("disk is full")]
    Full,
    /// The file system refused.
    #[error("file system failed")]
    Io(#[from] std::io::Error),
}

/// From which key up to which.
pub(super) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Whether no key can be within the bounds; sled and the standard library panic
/// on some of these.
pub(super) fn is_empty((low, high): &Bounds) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) => low >= high,
        _ => false,
    }
}

/// Which end of a range comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Smallest key first.
    Forwards,
    /// Largest key first.
    Backwards,
}

/// Whether a scan goes on.
pub(super) type Step = ControlFlow<()>;

/// Writes that happen together. Of several to one key the last counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Batch {
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets a key.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.push((key, Some(value)));
    }

    /// Removes a key.
    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.writes.push((key, None));
    }

    /// Adds the writes of another batch.
    pub(super) fn append(&mut self, mut other: Self) {
        self.writes.append(&mut other.writes);
    }

    /// About how many bytes are to be written.
    pub(super) fn size(&self) -> u64 {
        let sizes = self.writes.iter().map(|(key, value)| {
            let value = value.as_ref().map_or(0, Vec::len);
            key.len() + value
        });
        sizes.sum::<usize>() as u64
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The writes in order; `None` removes.
    pub(super) fn into_writes(self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        self.writes
    }
}

/// A set of ordered keys with their values.
pub(super) trait Partition: Send + Sync + 'static {
    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Shows the entries within the bounds to `visit`, until it breaks.
    ///
    /// Not a snapshot: a batch that is committed meanwhile is seen from where
    /// the scan stands.
    fn scan(
        &self,
        bounds: Bounds,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<()>;

    /// Sets apart the room that a batch of about so many bytes needs, so that
    /// no other process can take it meanwhile; `Full` if there is none. False
    /// if this store cannot do so, and what is free has to tell.
    fn claim(&self, _bytes: u64) -> Result<bool> {
        Ok(false)
    }

    /// How many bytes its own tidying may take of the disk before it gives some
    /// back; `Full` if that found too little and stopped. It goes on, and writes
    /// are taken again, once this is asked while there is room.
    fn upkeep(&self) -> Result<u64> {
        Ok(0)
    }

    /// Gives back what it holds of the disk without need, if it can and was
    /// written to since it did so. Readers and writers wait meanwhile.
    fn tidy(&self) -> Result<()> {
        Ok(())
    }

    /// Writes the batch as a whole; once this has returned it survives a power
    /// cut. After an error nobody knows what was written, but after `Full`:
    /// nothing was.
    fn commit(&self, batch: Batch) -> Result<()>;
}

/// A place that holds partitions by name.
pub(super) trait Space: Send + Sync + 'static {
    /// Opens a partition, which is created if there is none. Keeps about
    /// `cache_bytes` of it in memory.
    fn open(&self, name: &str, cache_bytes: u64) -> Result<Arc<dyn Partition>>;

    /// The names of all partitions, in no order.
    fn list(&self) -> Result<Vec<String>>;

    /// Gives a partition that nobody has open another name, which no partition
    /// has. A power cut leaves it under one of the two; once this has returned,
    /// under the new one. After an error nobody knows under which.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a partition, if there is one, and gives its space back; once
    /// this has returned it does not come back after a power cut. Who still has
    /// it open may go on reading, and holds the space until then.
    fn remove(&self, name: &str) -> Result<()>;

    /// How many bytes a partition takes on the disk; zero if there is none.
    fn size(&self, name: &str) -> Result<u64>;

    /// How many bytes the disk still has room for.
    fn free(&self) -> Result<u64>;

    /// Most events and attempts that are best written at once.
    fn group(&self) -> usize {
        128
    }

    /// On whose threads its partitions are worked with.
    fn threads(&self) -> Threads {
        Threads::Own
    }
}
