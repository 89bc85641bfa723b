//! A directory of databases, one for each partition: what every adapter that
//! keeps its partitions in directories needs beside its database.

use std::{
    fs::{self, File},
    io,
    marker::PhantomData,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::fs::statvfs;

use super::{
    commits::Commits,
    kv::{Batch, Bounds, Error, Order, Partition, Result, Space, Step},
};

/// How often, and with which pause, a database is asked for that this process
/// has just let go of.
const LOCK_TRIES: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Cache of a database that is only made.
const LEAST_CACHE: u64 = 1024 * 1024;

/// A database in a directory of its own.
pub(super) trait Database: Partition + Sized {
    /// Most events and attempts that are written at once.
    const GROUP: usize;

    /// Opens the database, or makes one; `None` if it is locked.
    fn open(dir: &Path, cache_bytes: u64) -> Result<Option<Self>>;
}

/// A directory of databases.
#[derive(Debug)]
pub(super) struct Folder<D> {
    dir: PathBuf,
    database: PhantomData<fn() -> D>,
}

impl<D: Database> Folder<D> {
    /// The databases in a directory, which is created if there is none.
    pub(super) fn new(dir: PathBuf) -> io::Result<Self> {
        if !dir.is_dir() {
            fs::create_dir_all(&dir)?;
            sync(dir.parent().unwrap_or(&dir))?;
        }
        Ok(Self {
            dir,
            database: PhantomData,
        })
    }

    /// Makes an empty database aside and renames it, so that a power cut leaves
    /// either none or one that opens.
    fn create(&self, name: &str) -> Result<()> {
        let aside = self.dir.join(format!("{name}.new"));
        if aside.is_dir() {
            fs::remove_dir_all(&aside)?;
        }
        drop(Guarded::<D>::open(&aside, LEAST_CACHE)?);
        sync_all(&aside)?;
        fs::rename(&aside, self.dir.join(name))?;
        sync(&self.dir)?;
        Ok(())
    }
}

impl<D: Database> Space for Folder<D> {
    fn open(&self, name: &str, cache_bytes: u64) -> Result<Arc<dyn Partition>> {
        let dir = self.dir.join(name);
        if !dir.is_dir() {
            self.create(name)?;
        }
        match Guarded::<D>::open(&dir, cache_bytes) {
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

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))?;
        Ok(sync(&self.dir)?)
    }

    /// Renames before it removes, since a crash may leave half of a directory.
    fn remove(&self, name: &str) -> Result<()> {
        let aside = self.dir.join(format!("{name}.old"));
        if self.dir.join(name).is_dir() {
            fs::rename(self.dir.join(name), &aside)?;
            sync(&self.dir)?;
        }
        if aside.is_dir() {
            fs::remove_dir_all(&aside)?;
        }
        Ok(())
    }

    fn size(&self, name: &str) -> Result<u64> {
        Ok(size_of(&self.dir.join(name))?)
    }

    fn free(&self) -> Result<u64> {
        Ok(free(&self.dir)?)
    }

    fn group(&self) -> usize {
        D::GROUP
    }
}

/// A database whose panics are errors: some panic on damage that they find.
/// Errors name the directory. Counts what is committed, so that it is missed.
struct Guarded<D> {
    dir: PathBuf,
    /// None while it is dropped.
    database: Option<D>,
    commits: Commits,
}

impl<D: Database> Guarded<D> {
    fn open(dir: &Path, cache_bytes: u64) -> Result<Self> {
        for _ in 0..LOCK_TRIES {
            if let Some(database) = guard(dir, || D::open(dir, cache_bytes))? {
                let commits = guard(dir, || Commits::open(dir, &database))?;
                return Ok(Self {
                    dir: dir.to_owned(),
                    database: Some(database),
                    commits,
                });
            }
            // The store's own lock keeps other processes out, so this is a
            // handle of this process that is not dropped yet.
            thread::sleep(LOCK_PAUSE);
        }
        Err(Error::Io(io::ErrorKind::ResourceBusy.into()))
    }

    fn call<T>(&self, call: impl FnOnce(&D) -> Result<T>) -> Result<T> {
        let database = self.database.as_ref().expect("it is not dropped");
        guard(&self.dir, || call(database))
    }
}

/// sled panics if its last sync fails.
impl<D> Drop for Guarded<D> {
    fn drop(&mut self) {
        let database = self.database.take();
        let dropped = guard(&self.dir, || {
            drop(database);
            Ok(())
        });
        if let Err(error) = dropped {
            tracing::error!(dir = %self.dir.display(), %error, "database was not closed well");
        }
    }
}

impl<D: Database> Partition for Guarded<D> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.call(|database| database.get(key))
    }

    fn scan(
        &self,
        bounds: Bounds,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<()> {
        self.call(|database| database.scan(bounds, order, visit))
    }

    fn claim(&self, bytes: u64) -> Result<bool> {
        self.call(|database| database.claim(bytes))
    }

    fn upkeep(&self) -> Result<u64> {
        self.call(Partition::upkeep)
    }

    fn tidy(&self) -> Result<()> {
        self.call(Partition::tidy)
    }

    fn commit(&self, mut batch: Batch) -> Result<()> {
        let count = self.commits.begin(&mut batch);
        self.call(|database| database.commit(batch))?;
        self.commits.finish(count);
        Ok(())
    }
}

fn guard<T>(dir: &Path, call: impl FnOnce() -> Result<T>) -> Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(call));
    let outcome = outcome.unwrap_or_else(|_| Err(Error::Corrupt("the database panicked".into())));
    outcome.map_err(|error| match error {
        Error::Corrupt(why) => Error::Corrupt(format!("{}: {why}", dir.display())),
        error => error,
    })
}

/// What is free on the disk that has this directory.
pub(super) fn free(dir: &Path) -> io::Result<u64> {
    let found = statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// What the files below a directory take on the disk.
fn size_of(dir: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut size = 0;
    for entry in entries {
        let entry = entry?;
        size += if entry.file_type()?.is_dir() {
            size_of(&entry.path())?
        } else {
            entry.metadata()?.blocks() * 512
        };
    }
    Ok(size)
}

/// Makes everything below a path durable.
fn sync_all(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_all(&entry?.path())?;
        }
    }
    sync(path)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
