//! The data directory: who may use it, and what wrote it.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::kv;

/// The newest format of each adapter that this program reads, which is the one
/// that it writes.
const VERSION: u32 = 1;

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
    /// Another engine wrote it.
    #[error(
        "{} was written by the engine {found}, not by {wanted}; set storage.engine to {found:?}, \
         or name another directory and fill it with `postrider storage copy`",
        dir.display()
    )]
    OtherEngine {
        /// The data directory.
        dir: PathBuf,
        /// The engine that wrote it.
        found: String,
        /// The engine that was to open it.
        wanted: &'static str,
    },
    /// A newer version of this program wrote it.
    #[error(
        "{} is of format {found}, and this version of postrider reads up to {VERSION}; start the \
         version that wrote it or a newer one",
        dir.display()
    )]
    NewerFormat {
        /// The data directory.
        dir: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Something else wrote it.
    #[error(
        "{} holds {found:?}, which is no store that postrider knows; name another directory",
        dir.display()
    )]
    Foreign {
        /// The data directory.
        dir: PathBuf,
        /// What it says of itself.
        found: String,
    },
    /// There is none.
    #[error("there is no store in {}", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// A copy into it was begun and not finished.
    #[error(
        "{} holds a part of {source_url} only; run `postrider storage copy` from there once more, \
         which goes on where it stopped, or remove the directory",
        dir.display()
    )]
    Unfinished {
        /// The data directory.
        dir: PathBuf,
        /// What is copied.
        source_url: String,
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
pub(super) struct DataDir {
    path: PathBuf,
    format: String,
    _lock: Box<dyn Send + Sync>,
}

impl DataDir {
    /// Refuses a directory that holds no store.
    pub(super) fn expect(path: &Path) -> Result<(), OpenError> {
        if path.join("FORMAT").is_file() {
            Ok(())
        } else {
            Err(OpenError::Missing {
                dir: path.to_owned(),
            })
        }
    }

    /// Takes the directory for an engine; it is created if there is none.
    pub(super) fn take(path: PathBuf, engine: &'static str) -> Result<Self, OpenError> {
        let lock = lock(&path).map_err(|error| OpenError::io(&path, error))?;
        let Some(lock) = lock else {
            return Err(OpenError::Locked { dir: path });
        };
        let found = format(&path, engine).map_err(|error| OpenError::io(&path, error))?;
        check(&path, found, engine)?;
        Ok(Self::locked(
            path,
            format!("{engine}, format {VERSION}"),
            lock,
        ))
    }

    /// A directory that is ours by another lock.
    pub(super) fn locked(path: PathBuf, format: String, lock: impl Send + Sync + 'static) -> Self {
        Self {
            path,
            format,
            _lock: Box::new(lock),
        }
    }

    /// Where everything stands that is not of a day.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The engine that keeps it, and the format.
    pub(super) fn format(&self) -> &str {
        &self.format
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
        // What is in it is nobody else's to read.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
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

/// Whether the engine can read a directory that says this of itself.
fn check(dir: &Path, found: String, wanted: &'static str) -> Result<(), OpenError> {
    let dir = dir.to_owned();
    let mut words = found.split_whitespace();
    let (name, engine) = (words.next(), words.next());
    let version = words.next().and_then(|version| version.parse().ok());
    match (name, engine, version, words.next()) {
        (Some("postrider"), Some(engine), Some(_), None) if engine != wanted => {
            Err(OpenError::OtherEngine {
                dir,
                found: engine.to_owned(),
                wanted,
            })
        }
        (Some("postrider"), Some(_), Some(VERSION), None) => Ok(()),
        (Some("postrider"), Some(_), Some(found), None) if found > VERSION => {
            Err(OpenError::NewerFormat { dir, found })
        }
        _ => Err(OpenError::Foreign { dir, found }),
    }
}

/// What the directory says it holds; says it of a new one first.
fn format(dir: &Path, engine: &str) -> io::Result<String> {
    let path = dir.join("FORMAT");
    match fs::read(&path) {
        Ok(found) => return Ok(String::from_utf8_lossy(&found).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Written aside and renamed, so that a crash leaves all of it or nothing.
    let aside = dir.join("FORMAT.new");
    let format = format!("postrider {engine} {VERSION}\n");
    let mut file = File::create(&aside)?;
    file.write_all(format.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(format)
}
