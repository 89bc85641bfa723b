//! A partition kept by fjall: a database with one keyspace, so that dropping
//! its directory gives back its journal, too. The only file that names the
//! crate.
//!
//! fjall's worker ends when it finds no room for a table, and its database takes
//! no writes any more. What was written is in the journal by then, and the worker
//! removed nothing that its new tables were to replace: opened anew, the database
//! is whole. So it is opened anew once there is room, but only if there was none
//! when it ended: after a failed sync nobody knows what the disk has.

mod manifest;

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use fjall::{KeyspaceCreateOptions, PersistMode};
use parking_lot::RecursiveRwLock;

use super::{
    folder::{self, Database},
    kv::{Batch, Bounds, Error, Order, Partition, Result, Step},
};

/// Name of the one keyspace.
const KEYSPACE: &str = "rows";

/// One: with more, the first hands every compaction back to the pool, and spins
/// for as long as another one compacts.
const WORKERS: usize = 1;

/// Bounds of what is gathered in memory before it becomes a table; up to four
/// more of these wait to be written. Smaller ones cost throughput: each spans
/// all keys, so that merging them is most of the work.
const LEAST_MEMTABLE: u64 = 2 * 1024 * 1024;
const MOST_MEMTABLE: u64 = 32 * 1024 * 1024;

/// Tables that are kept open.
const OPEN_FILES: usize = 64;

/// Most that is merged at once: the first two levels of fjall.
const MOST_MERGED: u64 = 512 * 1024 * 1024;
/// What opening a database takes beside its tables.
const TO_OPEN: u64 = 2 * 1024 * 1024;

/// How long readers of the old database are waited for before it is opened anew.
const PATIENCE: Duration = Duration::from_millis(100);

/// A database with one keyspace.
pub(super) struct FjallPartition {
    dir: PathBuf,
    cache_bytes: u64,
    /// None between two openings, if the second failed.
    opened: RecursiveRwLock<Option<Opened>>,
    /// Whether its worker ended for want of room.
    starved: AtomicBool,
    /// Whether it was written to since it was opened.
    written: AtomicBool,
}

struct Opened {
    db: fjall::Database,
    rows: fjall::Keyspace,
}

impl Database for FjallPartition {
    const GROUP: usize = 512;

    fn open(dir: &Path, cache_bytes: u64) -> Result<Option<Self>> {
        let opened = Opened::open(dir, cache_bytes)?;
        Ok(opened.map(|opened| Self {
            dir: dir.to_owned(),
            cache_bytes,
            opened: RecursiveRwLock::new(Some(opened)),
            starved: AtomicBool::new(false),
            written: AtomicBool::new(false),
        }))
    }
}

impl Opened {
    fn open(dir: &Path, cache_bytes: u64) -> Result<Option<Self>> {
        manifest::check(dir)?;
        let builder = fjall::Database::builder(dir)
            .cache_size(cache_bytes)
            .max_cached_files(Some(OPEN_FILES))
            .worker_threads(WORKERS);
        let db = match builder.open() {
            Err(fjall::Error::Locked) => return Ok(None),
            opened => opened.map_err(from_fjall)?,
        };
        let memtable = (cache_bytes / 2).clamp(LEAST_MEMTABLE, MOST_MEMTABLE);
        let options = || KeyspaceCreateOptions::default().max_memtable_size(memtable);
        let rows = db.keyspace(KEYSPACE, options).map_err(from_fjall)?;
        Ok(Some(Self { db, rows }))
    }

    /// What is gathered becomes tables, and these are merged with others, which
    /// are removed afterwards.
    fn upkeep(&self) -> u64 {
        self.db.write_buffer_size() + self.rows.disk_space().min(MOST_MERGED)
    }
}

impl FjallPartition {
    /// Calls with the database. Also from within a call.
    fn with<T>(&self, call: impl FnOnce(&Opened) -> Result<T>) -> Result<T> {
        self.opened.read().as_ref().map_or(Err(Error::Full), call)
    }

    /// Notes that the worker ended, if that was for want of room.
    fn ended(&self, opened: &Opened) -> Error {
        let needed = opened.upkeep() + TO_OPEN;
        match folder::free(&self.dir) {
            Ok(free) if free < needed => {
                self.starved.store(true, Relaxed);
                tracing::warn!(free, needed, "fjall found no room to merge tables");
                Error::Full
            }
            _ => from_fjall(fjall::Error::Poisoned),
        }
    }

    /// Opens the database anew if there is room for that.
    fn reopen(&self) -> Result<()> {
        let opened = self.opened.try_write_for(PATIENCE);
        let mut opened = opened.ok_or(Error::Full)?;
        let needed = opened.as_ref().map_or(0, Opened::upkeep) + TO_OPEN;
        if folder::free(&self.dir)? < needed {
            return Err(Error::Full);
        }
        // Until it is open again: if that fails, it is tried once more.
        self.starved.store(true, Relaxed);
        drop(opened.take());
        *opened = Opened::open(&self.dir, self.cache_bytes)?;
        self.starved.store(opened.is_none(), Relaxed);
        self.written.store(false, Relaxed);
        tracing::info!(dir = %self.dir.display(), "fjall opened a database anew");
        Ok(())
    }
}

impl Partition for FjallPartition {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.with(|Opened { rows, .. }| {
            let value = rows.get(key).map_err(from_fjall)?;
            Ok(value.map(|value| value.to_vec()))
        })
    }

    fn scan(
        &self,
        bounds: Bounds,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<()> {
        self.with(|Opened { rows, .. }| {
            let mut entries = rows.range(bounds);
            loop {
                let entry = match order {
                    Order::Forwards => entries.next(),
                    Order::Backwards => entries.next_back(),
                };
                let Some(entry) = entry else {
                    return Ok(());
                };
                let (key, value) = entry.into_inner().map_err(from_fjall)?;
                if visit(&key, &value).is_break() {
                    return Ok(());
                }
            }
        })
    }

    /// Whether the worker still runs is asked with a sync of nothing.
    fn upkeep(&self) -> Result<u64> {
        if self.starved.load(Relaxed) {
            self.reopen()?;
        }
        self.with(|opened| match opened.db.persist(PersistMode::Buffer) {
            Err(fjall::Error::Poisoned) => Err(self.ended(opened)),
            _ => Ok(opened.upkeep()),
        })
    }

    /// Tables that were merged stay until the next ones are written, and a
    /// database that takes no events writes none.
    fn tidy(&self) -> Result<()> {
        if self.written.load(Relaxed) {
            self.reopen()?;
        }
        Ok(())
    }

    /// `SyncData` is an fdatasync of the journal, which is all that is needed
    /// to read it back: its name is durable since it was made.
    fn commit(&self, batch: Batch) -> Result<()> {
        self.written.store(true, Relaxed);
        self.with(|opened| {
            let Opened { db, rows } = opened;
            let mut writes = db.batch().durability(Some(PersistMode::SyncData));
            for (key, value) in batch.into_writes() {
                match value {
                    Some(value) => writes.insert(rows, key, value),
                    None => writes.remove(rows, key),
                }
            }
            writes.commit().map_err(|error| match error {
                // Told before anything is written.
                fjall::Error::Poisoned => self.ended(opened),
                error => from_fjall(error),
            })
        })
    }
}

fn from_fjall(error: fjall::Error) -> Error {
    use fjall::{Error as Fjall, LsmError};
    match error {
        Fjall::Io(error) | Fjall::Storage(LsmError::Io(error)) => Error::Io(error),
        Fjall::InvalidVersion(_) | Fjall::Storage(LsmError::InvalidVersion(_)) => {
            Error::Unsupported(error.to_string())
        }
        // An earlier write failed, or one in the background.
        Fjall::Poisoned => Error::Io(io::Error::other("an earlier write of the database failed")),
        error => Error::Corrupt(error.to_string()),
    }
}
