//! The data directory: who may use it, and what wrote it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::kv;

/// What this program writes into `FORMAT`.
const FORMAT: &str = "postrider sled 1\n";

/// Why a store cannot be opened, by what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "{} is in use by another process; stop that one, or give this one a directory of its own",
        dir.display()
    )]
    Locked {
        /// The data directory.
        dir: PathBuf,
    },
    /// Another engine or a newer format wrote it.
    #[error(
        "{} holds {found:?}, which this program cannot read as {FORMAT:?}; start the version or \
         the storage engine that wrote it, or name another directory",
        dir.display()
    )]
    Foreign {
        /// The data directory.
        dir: PathBuf,
        /// What it says of itself.
        found: String,
    },
    /// Stored bytes make no sense.
    #[error(
        "{} is corrupt: {why}; restore the data directory from a backup, or move this part of it \
         away to go on without what it holds",
        dir.display()
    )]
    Corrupt {
        /// The directory of the part that is corrupt.
        dir: PathBuf,
        /// What was found.
        why: String,
    },
    /// The file system refused.
    #[error("cannot open {}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(dir: &Path, source: io::Error) -> Self {
        Self::Io {
            dir: dir.to_owned(),
            source,
        }
    }

    pub(super) fn corrupt(dir: &Path, why: &impl ToString) -> Self {
        Self::Corrupt {
            dir: dir.to_owned(),
            why: why.to_string(),
        }
    }

    /// What a failure at the seam is, in this directory.
    pub(super) fn from_kv(dir: &Path, error: kv::Error) -> Self {
        match error {
            kv::Error::Full => Self::io(dir, io::ErrorKind::StorageFull.into()),
            kv::Error::Io(source) => Self::io(dir, source),
            kv::Error::Corrupt(why) => Self::corrupt(dir, &why),
            kv::Error::Unsupported(found) => Self::Foreign {
                dir: dir.to_owned(),
                found,
            },
        }
    }
}

/// A data directory that is ours for as long as this lives.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes the directory, which is created if there is none.
    pub(super) fn take(path: PathBuf) -> Result<Self, OpenError> {
        let lock = lock(&path).map_err(|error| OpenError::io(&path, error))?;
        let Some(lock) = lock else {
            return Err(OpenError::Locked { dir: path });
        };
        let found = format(&path).map_err(|error| OpenError::io(&path, error))?;
        if found != FORMAT {
            return Err(OpenError::Foreign { dir: path, found });
        }
        Ok(Self { path, _lock: lock })
    }

    /// Where everything stands that is not of a day.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is given up when the disk is full.
    pub(super) fn reserve(&self) -> PathBuf {
        self.path.join("RESERVE")
    }

    /// Where the days stand.
    pub(super) fn days(&self) -> PathBuf {
        self.path.join("days")
    }
}

/// Locks the directory; `None` if another process has.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    if !dir.is_dir() {
        fs::create_dir_all(dir)?;
        let parent = dir.parent().filter(|parent| *parent != Path::new(""));
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("LOCK"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What the directory says it holds; says it of a new one first.
fn format(dir: &Path) -> io::Result<String> {
    let path = dir.join("FORMAT");
    match fs::read(&path) {
        Ok(found) => return Ok(String::from_utf8_lossy(&found).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Written aside and renamed, so that a crash leaves all of it or nothing.
    let aside = dir.join("FORMAT.new");
    let mut file = File::create(&aside)?;
    file.write_all(FORMAT.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(FORMAT.to_owned())
}
