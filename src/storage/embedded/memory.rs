//! Partitions kept in memory, on a disk that fails when it is told to: for tests
//! and simulation, never for an operator's events.

use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::{
    kv::{Batch, Bounds, Order, Partition, Result, Space, Step, is_empty},
    threads::Threads,
};
use crate::domain::{Keyring, RootKey};

/// What the disk has room for while it is not full.
const ROOM: u64 = 1 << 40;

/// A disk in memory, and the hand that pulls its plug. For tests and simulation.
///
/// A write is whole or absent here, as it is in each adapter once it has
/// recovered. What tears is a group of writes: some of its partitions have
/// theirs and others do not.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Medium>>);

impl Disk {
    /// What stores in memory seal secrets by. They keep none from anybody.
    pub(super) fn keyring() -> Keyring {
        Keyring::new(&RootKey::generate([0; 32]), &[])
    }

    /// While set, writes are refused for want of space, and nothing is written.
    pub fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// While set, writes are made but their syncs fail.
    pub fn set_sync_fails(&self, fails: bool) {
        self.0.lock().sync_fails = fails;
    }

    /// Lets so many more writes become durable and cuts the power in the next
    /// one. What is open on the disk fails from then on.
    pub fn cut_power_after(&self, writes: u64) {
        self.0.lock().writes_left = Some(writes);
    }

    /// How many writes were made durable.
    pub fn writes(&self) -> u64 {
        self.0.lock().writes
    }

    /// Cuts the power, unless it is cut already, and brings the disk back. Of
    /// each write that was not synced `survives` says whether it is there.
    /// Whatever was open stays dead, and nothing is told to fail any more.
    pub fn restart(&self, mut survives: impl FnMut() -> bool) {
        let mut medium = self.0.lock();
        for rows in medium.partitions.values() {
            rows.lock().recover(&mut survives);
        }
        *medium = Medium {
            partitions: std::mem::take(&mut medium.partitions),
            boot: medium.boot + 1,
            writes: medium.writes,
            ..Medium::default()
        };
    }

    /// Takes the disk for one store; `None` if another has it.
    pub(super) fn take(&self) -> Option<Arc<Owner>> {
        let mut medium = self.0.lock();
        if medium.owner.strong_count() > 0 {
            return None;
        }
        let owner = Arc::new(Owner);
        medium.owner = Arc::downgrade(&owner);
        Some(owner)
    }

    /// The partitions below a path.
    pub(super) fn space(&self, path: &'static str) -> MemorySpace {
        MemorySpace {
            disk: self.clone(),
            path,
            threads: Threads::Own,
        }
    }
}

/// The right to write to a disk, until it is dropped.
#[derive(Debug)]
pub(super) struct Owner;

/// A directory of the disk.
pub(super) struct MemorySpace {
    disk: Disk,
    path: &'static str,
    threads: Threads,
}

impl MemorySpace {
    /// The same, worked with on these threads.
    pub(super) fn on(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }
}

impl Space for MemorySpace {
    fn open(&self, name: &str, _cache_bytes: u64) -> Result<Arc<dyn Partition>> {
        let path = format!("{}{name}", self.path);
        let mut medium = self.disk.0.lock();
        Ok(Arc::new(MemoryPartition {
            disk: self.disk.clone(),
            boot: medium.boot,
            rows: Arc::clone(medium.partitions.entry(path).or_default()),
        }))
    }

    fn list(&self) -> Result<Vec<String>> {
        let medium = self.disk.0.lock();
        let names = medium
            .partitions
            .keys()
            .filter_map(|path| path.strip_prefix(self.path));
        Ok(names.map(str::to_owned).collect())
    }

    /// Counts as a write: the power can be cut in it, and then it is not made.
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut medium = self.disk.0.lock();
        if !medium.write()? {
            return Err(io::Error::other("sync failed").into());
        }
        let rows = medium.partitions.remove(&format!("{}{from}", self.path));
        let rows = rows.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        medium.partitions.insert(format!("{}{to}", self.path), rows);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = format!("{}{name}", self.path);
        self.disk.0.lock().partitions.remove(&path);
        Ok(())
    }

    fn size(&self, name: &str) -> Result<u64> {
        let path = format!("{}{name}", self.path);
        let rows = self.disk.0.lock().partitions.get(&path).cloned();
        Ok(rows.map_or(0, |rows| rows.lock().size()))
    }

    fn free(&self) -> Result<u64> {
        Ok(if self.disk.0.lock().full { 0 } else { ROOM })
    }

    fn threads(&self) -> Threads {
        self.threads
    }
}

/// A partition as one store has it open.
struct MemoryPartition {
    disk: Disk,
    boot: u64,
    rows: Arc<Mutex<Rows>>,
}

impl MemoryPartition {
    /// Looks at the rows, if the power was never cut since they were opened.
    fn read<T>(&self, read: impl FnOnce(&BTreeMap<Vec<u8>, Vec<u8>>) -> T) -> Result<T> {
        self.disk.0.lock().check(self.boot)?;
        Ok(read(&self.rows.lock().visible))
    }
}

impl Partition for MemoryPartition {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read(|rows| rows.get(key).cloned())
    }

    fn scan(
        &self,
        mut bounds: Bounds,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<()> {
        while !is_empty(&bounds) {
            let entry = self.read(|rows| {
                let mut entries = rows.range(bounds.clone());
                let entry = match order {
                    Order::Forwards => entries.next(),
                    Order::Backwards => entries.next_back(),
                };
                entry.map(|(key, value)| (key.clone(), value.clone()))
            })?;
            let Some((key, value)) = entry else {
                break;
            };
            if visit(&key, &value).is_break() {
                break;
            }
            match order {
                Order::Forwards => bounds.0 = Bound::Excluded(key),
                Order::Backwards => bounds.1 = Bound::Excluded(key),
            }
        }
        Ok(())
    }

    fn commit(&self, batch: Batch) -> Result<()> {
        let mut medium = self.disk.0.lock();
        medium.check(self.boot)?;
        let synced = medium.write()?;
        self.rows.lock().write(batch.into_writes(), synced);
        if !synced {
            return Err(io::Error::other("sync failed").into());
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Medium {
    partitions: BTreeMap<String, Arc<Mutex<Rows>>>,
    /// Counts the times the power came back.
    boot: u64,
    off: bool,
    owner: Weak<Owner>,
    full: bool,
    sync_fails: bool,
    writes: u64,
    writes_left: Option<u64>,
}

impl Medium {
    /// Makes a write, if there is room for it; false if it is not durable.
    fn write(&mut self) -> io::Result<bool> {
        if self.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.off |= self.writes_left == Some(0);
        if self.off || self.sync_fails {
            return Ok(false);
        }
        self.writes += 1;
        self.writes_left = self.writes_left.map(|left| left - 1);
        Ok(true)
    }

    /// Whether something that was opened after that boot still works.
    fn check(&self, boot: u64) -> io::Result<()> {
        if self.off || self.boot != boot {
            return Err(io::Error::other("the power was cut"));
        }
        Ok(())
    }
}

type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

#[derive(Debug, Default)]
struct Rows {
    visible: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What is visible and may be lost, each with what takes it back.
    unsynced: Vec<(Writes, Writes)>,
}

impl Rows {
    fn write(&mut self, writes: Writes, synced: bool) {
        if synced {
            // A sync makes everything before it durable, too.
            self.unsynced.clear();
            self.apply(writes);
        } else {
            let undo = self.apply(writes.clone());
            self.unsynced.push((writes, undo));
        }
    }

    fn size(&self) -> u64 {
        let bytes = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.len() + value.len()) as u64;
        self.visible.iter().map(bytes).sum()
    }

    /// Returns what takes the writes back.
    fn apply(&mut self, writes: Writes) -> Writes {
        let mut undo = Vec::with_capacity(writes.len());
        for (key, value) in writes {
            let before = match value {
                Some(value) => self.visible.insert(key.clone(), value),
                None => self.visible.remove(&key),
            };
            undo.push((key, before));
        }
        undo.reverse();
        undo
    }

    fn recover(&mut self, survives: &mut impl FnMut() -> bool) {
        let unsynced = std::mem::take(&mut self.unsynced);
        for (_, undo) in unsynced.iter().rev() {
            self.apply(undo.clone());
        }
        for (writes, _) in unsynced {
            if survives() {
                self.apply(writes);
            }
        }
    }
}
