//! A partition kept by fjall: a database with one keyspace, so that dropping
//! its directory gives back its journal, too. The only file that names the
//! crate.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use fjall::{KeyspaceCreateOptions, PersistMode};

use super::{
    folder::Database,
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

/// A database with one keyspace.
pub(super) struct FjallPartition {
    db: fjall::Database,
    rows: fjall::Keyspace,
}

impl Database for FjallPartition {
    const GROUP: usize = 512;

    fn open(dir: &Path, cache_bytes: u64) -> Result<Option<Self>> {
        check_manifests(dir)?;
        let builder = fjall::Database::builder(dir)
            .cache_size(cache_bytes)
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
}

impl Partition for FjallPartition {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self.rows.get(key).map_err(from_fjall)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        bounds: Bounds,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<()> {
        let mut entries = self.rows.range(bounds);
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
    }

    /// `SyncData` is an fdatasync of the journal, which is all that is needed
    /// to read it back: its name is durable since it was made.
    fn commit(&self, batch: Batch) -> Result<()> {
        let mut writes = self.db.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in batch.into_writes() {
            match value {
                Some(value) => writes.insert(&self.rows, key, value),
                None => writes.remove(&self.rows, key),
            }
        }
        writes.commit().map_err(from_fjall)
    }
}

/// Refuses a manifest that fjall would panic over.
///
/// It does so while it holds a lock, and once more over that lock when it lets
/// go of what it had opened. Nothing catches a second panic: the process would
/// end, and end again at each start. These are the parts of a manifest that no
/// checksum of fjall covers and whose values it asserts.
fn check_manifests(dir: &Path) -> Result<()> {
    const ASSERTED: [(&[u8], u8); 2] = [(b"level_count", 7), (b"filter_hash_type", 0)];
    let keyspaces = match fs::read_dir(dir.join("keyspaces")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        keyspaces => keyspaces?,
    };
    for keyspace in keyspaces {
        let keyspace = keyspace?.path();
        // Whatever cannot be read fjall refuses without a panic.
        let Some(current) = fs::read(keyspace.join("current"))
            .ok()
            .and_then(|current| current.first_chunk().copied().map(u64::from_le_bytes))
        else {
            continue;
        };
        let path = keyspace.join(format!("v{current}"));
        let Ok(manifest) = sfa::Reader::new(&path) else {
            continue;
        };
        for (name, asserted) in ASSERTED {
            let mut found = Vec::new();
            if let Some(section) = manifest.toc().section(name) {
                section.buf_reader(&path)?.read_to_end(&mut found)?;
            }
            if found != [asserted] {
                let name = name.escape_ascii();
                let path = path.display();
                return Err(Error::Corrupt(format!("{path} has a {name} of {found:?}")));
            }
        }
    }
    Ok(())
}

fn from_fjall(error: fjall::Error) -> Error {
    use fjall::{Error as Fjall, LsmError};
    match error {
        Fjall::Io(error) | Fjall::Storage(LsmError::Io(error)) => Error::Io(error),
        Fjall::InvalidVersion(_) | Fjall::Storage(LsmError::InvalidVersion(_)) => {
            Error::Unsupported(error.to_string())
        }
        // An earlier write failed, perhaps one in the background.
        Fjall::Poisoned => Error::Io(io::Error::other("an earlier write of the database failed")),
        error => Error::Corrupt(error.to_string()),
    }
}
