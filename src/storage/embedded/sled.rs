//! A partition kept by sled. The only file that names the crate.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use rustix::{
    fs::{FallocateFlags, FlockOperation, fallocate, flock},
    io::Errno,
};

use super::{
    folder::Database,
    kv::{Batch, Bounds, Error, Order, Partition, Result, Step, is_empty},
};

/// sled writes whole segments.
const SEGMENT: u64 = 512 * 1024;
/// How many bytes sled writes for one, at worst: it writes whole pages anew.
const AMPLIFICATION: u64 = 4;
/// Room that is set apart beyond what is needed, so that it is seldom asked for
/// and deliveries can be recorded for a while on a full disk.
const AHEAD: u64 = 2 * 1024 * 1024;

/// Every write leaves an old page behind, and sled gives those back to the
/// allocator a few at a time whenever it is called: with batches that are one
/// call each, far fewer than come. So the epochs that it shares with this
/// program are swept once for this many writes.
const WRITES_PER_SWEEP: usize = 32;

/// A database with one tree.
pub(super) struct SledPartition {
    db: sled::Db,
    /// `flush` of sled 0.34 hands its writes to the kernel and asks for no
    /// more, and errors of its own syncs are swallowed. A sync through a handle
    /// of our own makes them durable and tells when it failed.
    file: File,
    /// Writes since the last sweep.
    unswept: AtomicUsize,
}

impl Database for SledPartition {
    /// Larger ones are not faster.
    const GROUP: usize = 128;

    fn open(dir: &Path, cache_bytes: u64) -> Result<Option<Self>> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None);
        if !forget_half_snapshots(dir)? {
            return Ok(None);
        }
        let db = match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("acquire lock") => {
                return Ok(None);
            }
            opened => opened.map_err(from_sled)?,
        };
        let file = File::options().write(true).open(dir.join("db"))?;
        Ok(Some(Self {
            db,
            file,
            unswept: AtomicUsize::new(0),
        }))
    }
}

impl Partition for SledPartition {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self.db.get(key).map_err(from_sled)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        bounds: Bounds,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<()> {
        if is_empty(&bounds) {
            return Ok(());
        }
        let mut entries = self.db.range(bounds);
        loop {
            let entry = match order {
                Order::Forwards => entries.next(),
                Order::Backwards => entries.next_back(),
            };
            let Some((key, value)) = entry.transpose().map_err(from_sled)? else {
                return Ok(());
            };
            if visit(&key, &value).is_break() {
                return Ok(());
            }
        }
    }

    /// Has the file system set blocks apart behind the end of the file, where
    /// sled goes on: it does not recover from a write that found no room.
    fn claim(&self, bytes: u64) -> Result<bool> {
        let needed = SEGMENT * 2 + bytes * AMPLIFICATION;
        let found = self.file.metadata()?;
        let end = found.len();
        if (found.blocks() * 512).saturating_sub(end) >= needed {
            return Ok(true);
        }
        for ahead in [AHEAD, 0] {
            match fallocate(&self.file, FallocateFlags::KEEP_SIZE, end, needed + ahead) {
                Ok(()) => return Ok(true),
                Err(Errno::NOSPC | Errno::DQUOT) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
                Err(error) => return Err(Error::Io(error.into())),
            }
        }
        Err(Error::Full)
    }

    fn commit(&self, batch: Batch) -> Result<()> {
        let mut writes = sled::Batch::default();
        let batch = batch.into_writes();
        let unswept = self.unswept.load(Relaxed) + batch.len();
        for (key, value) in batch {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        self.db.apply_batch(writes).map_err(from_sled)?;
        self.db.flush().map_err(from_sled)?;
        self.file.sync_data()?;
        for _ in 0..unswept / WRITES_PER_SWEEP {
            crossbeam_epoch::pin().flush();
        }
        self.unswept.store(unswept % WRITES_PER_SWEEP, Relaxed);
        Ok(())
    }
}

/// Removes snapshots of its log that sled had begun when it was cut off: it
/// would take one for whole and call the store corrupt. The log has everything
/// that is in them. Does nothing and says no while another handle has the
/// database, which may be writing one.
fn forget_half_snapshots(dir: &Path) -> io::Result<bool> {
    let Ok(database) = File::open(dir.join("db")) else {
        return Ok(true);
    };
    match flock(&database, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "generating")
        {
            fs::remove_file(path)?;
        }
    }
    Ok(true)
}

fn from_sled(error: sled::Error) -> Error {
    match error {
        sled::Error::Io(error) => Error::Io(error),
        sled::Error::Unsupported(what) => Error::Unsupported(what),
        error => Error::Corrupt(error.to_string()),
    }
}
