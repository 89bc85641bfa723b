//! Partitions kept by sled: a directory each. The only file that names the
//! crate.

use std::{
    fs::{self, File},
    io,
    ops::Bound,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::Errno,
};

use super::kv::{Batch, Bounds, Error, Order, Partition, Result, Space, Step};

/// How often, and with which pause, a database is asked for that this process
/// has just let go of.
const LOCK_TRIES: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// sled writes whole segments.
const SEGMENT: u64 = 512 * 1024;
/// How many bytes sled writes for one, at worst: it writes whole pages anew.
const AMPLIFICATION: u64 = 4;
/// Room that is set apart beyond what is needed, so that it is seldom asked for
/// and deliveries can be recorded for a while on a full disk.
const AHEAD: u64 = 2 * 1024 * 1024;

/// Cache of a database that is only made.
const LEAST_CACHE: u64 = 1024 * 1024;

/// A directory of databases.
#[derive(Debug)]
pub(super) struct SledSpace {
    dir: PathBuf,
}

impl SledSpace {
    /// The databases in a directory, which is created if there is none.
    pub(super) fn new(dir: PathBuf) -> io::Result<Self> {
        if !dir.is_dir() {
            fs::create_dir_all(&dir)?;
            sync_dir(dir.parent().unwrap_or(&dir))?;
        }
        Ok(Self { dir })
    }
}

impl Space for SledSpace {
    fn open(&self, name: &str, cache_bytes: u64) -> Result<Arc<dyn Partition>> {
        let dir = self.dir.join(name);
        if !dir.is_dir() {
            self.create(name)?;
        }
        match SledPartition::open(&dir, cache_bytes) {
            Err(Error::Io(error)) if is_full(&error) => Err(Error::Full),
            opened => Ok(Arc::new(opened?)),
        }
    }

    fn list(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    /// Renames before it removes, since a crash may leave half of a directory.
    fn remove(&self, name: &str) -> Result<()> {
        let aside = self.dir.join(format!("{name}.old"));
        if self.dir.join(name).is_dir() {
            fs::rename(self.dir.join(name), &aside)?;
            sync_dir(&self.dir)?;
        }
        if aside.is_dir() {
            fs::remove_dir_all(&aside)?;
        }
        Ok(())
    }

    fn size(&self, name: &str) -> Result<u64> {
        Ok(size_of_dir(&self.dir.join(name))?)
    }

    fn free(&self) -> Result<u64> {
        let found = statvfs(&self.dir).map_err(io::Error::from)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

impl SledSpace {
    /// Makes an empty database aside and renames it, since sled does not open
    /// what a power cut left of one that was being made.
    fn create(&self, name: &str) -> Result<()> {
        let aside = self.dir.join(format!("{name}.new"));
        if aside.is_dir() {
            fs::remove_dir_all(&aside)?;
        }
        drop(SledPartition::open(&aside, LEAST_CACHE)?);
        for entry in fs::read_dir(&aside)? {
            File::open(entry?.path())?.sync_all()?;
        }
        sync_dir(&aside)?;
        fs::rename(&aside, self.dir.join(name))?;
        sync_dir(&self.dir)?;
        Ok(())
    }
}

/// One database with one tree.
struct SledPartition {
    dir: PathBuf,
    db: sled::Db,
    /// `flush` of sled 0.34 hands its writes to the kernel and asks for no
    /// more, and errors of its own syncs are swallowed. A sync through a handle
    /// of our own makes them durable and tells when it failed.
    file: File,
}

impl SledPartition {
    fn open(dir: &Path, cache_bytes: u64) -> Result<Self> {
        guarded(dir, || Self::open_unguarded(dir, cache_bytes))
    }

    fn open_unguarded(dir: &Path, cache_bytes: u64) -> Result<Self> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None);
        let mut tries = 0;
        let db = loop {
            match config.open() {
                // The store's own lock keeps other processes out, so this is a
                // handle of this process that sled has not dropped yet.
                Err(sled::Error::Io(error))
                    if tries < LOCK_TRIES && error.to_string().contains("acquire lock") =>
                {
                    tries += 1;
                    thread::sleep(LOCK_PAUSE);
                }
                opened => break opened.map_err(from_sled)?,
            }
        };
        let file = File::options().write(true).open(dir.join("db"))?;
        Ok(Self {
            dir: dir.to_owned(),
            db,
            file,
        })
    }
}

impl Partition for SledPartition {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        guarded(&self.dir, || {
            let value = self.db.get(key).map_err(from_sled)?;
            Ok(value.map(|value| value.to_vec()))
        })
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
            let entry = guarded(&self.dir, || {
                let entry = match order {
                    Order::Forwards => entries.next(),
                    Order::Backwards => entries.next_back(),
                };
                entry.transpose().map_err(from_sled)
            });
            let Some((key, value)) = entry? else {
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
        for (key, value) in batch.into_writes() {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        guarded(&self.dir, || {
            self.db.apply_batch(writes).map_err(from_sled)?;
            self.db.flush().map_err(from_sled)?;
            self.file.sync_data()?;
            Ok(())
        })
    }
}

/// Calls sled, which panics on some damage that it finds. Says where that is.
fn guarded<T>(dir: &Path, call: impl FnOnce() -> Result<T>) -> Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(call));
    let outcome = outcome.unwrap_or_else(|_| Err(Error::Corrupt("sled panicked".to_owned())));
    outcome.map_err(|error| match error {
        Error::Corrupt(why) => Error::Corrupt(format!("{}: {why}", dir.display())),
        error => error,
    })
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Whether no key can be within the bounds; sled panics on some of these.
fn is_empty((low, high): &Bounds) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) => low >= high,
        _ => false,
    }
}

fn from_sled(error: sled::Error) -> Error {
    match error {
        sled::Error::Io(error) => Error::Io(error),
        sled::Error::Unsupported(what) => Error::Unsupported(what),
        error => Error::Corrupt(error.to_string()),
    }
}

/// What the files below a directory take on the disk.
fn size_of_dir(dir: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut size = 0;
    for entry in entries {
        let entry = entry?;
        size += if entry.file_type()?.is_dir() {
            size_of_dir(&entry.path())?
        } else {
            entry.metadata()?.blocks() * 512
        };
    }
    Ok(size)
}

/// Makes the names in a directory durable.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
