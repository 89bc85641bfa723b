//! How many batches a database took for certain, counted twice: in a row of the
//! database, with each batch, and in a file beside it, once the batch is durable.
//!
//! A database takes damage at the end of its log for a write that was cut off,
//! and goes on without it; then the file counts more than the row. The file is
//! never synced: a kill leaves it as it is, and a power cut perhaps older, which
//! says nothing. It must never count a batch that is not durable yet.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    key,
    kv::{Batch, Error, Partition, Result},
};

/// Name of the file.
const NAME: &str = "COMMITS";

/// The count of a database that is open.
#[derive(Debug)]
pub(super) struct Commits {
    file: File,
    count: AtomicU64,
}

impl Commits {
    /// Goes on counting where the database of this directory stands; corrupt if
    /// it has lost batches that it took.
    pub(super) fn open(dir: &Path, database: &impl Partition) -> Result<Self> {
        let row = database.get(&key::commits())?;
        let count = match row.as_deref().map(<[u8; 8]>::try_from) {
            None => 0,
            Some(Ok(count)) => u64::from_be_bytes(count),
            Some(Err(_)) => return Err(Error::Corrupt("its count makes no sense".to_owned())),
        };
        let path = dir.join(NAME);
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false);
        let file = file.open(&path)?;
        let lost = read(&file)?.saturating_sub(count);
        if lost > 0 {
            return Err(Error::Corrupt(format!(
                "it has lost the last {lost} writes that it took; to go on without them, remove {}",
                path.display()
            )));
        }
        Ok(Self {
            file,
            count: count.into(),
        })
    }

    /// Counts a batch that is to be written, in the batch, and returns the count.
    pub(super) fn begin(&self, batch: &mut Batch) -> u64 {
        let count = self.count.load(Ordering::Relaxed) + 1;
        batch.put(key::commits(), count.to_be_bytes().to_vec());
        count
    }

    /// Counts the batch beside the database, now that it is durable. A count that
    /// cannot be written is older than it could be, no more.
    pub(super) fn finish(&self, count: u64) {
        self.count.store(count, Ordering::Relaxed);
        if let Err(error) = self.file.write_all_at(&write(count), 0) {
            tracing::debug!(%error, "count of writes could not be noted");
        }
    }
}

/// With the complement behind it, so that damage is not taken for a count.
fn write(count: u64) -> [u8; 16] {
    (u128::from(count) << 64 | u128::from(!count)).to_be_bytes()
}

/// Zero where nothing was counted, or where it makes no sense.
fn read(file: &File) -> io::Result<u64> {
    let mut bytes = [0; 16];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
        read => read?,
    }
    let count = (u128::from_be_bytes(bytes) >> 64) as u64;
    Ok(if write(count) == bytes { count } else { 0 })
}
