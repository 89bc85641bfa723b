//! The partitions of days, opened when they are needed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Weak},
};

use parking_lot::{Mutex, RwLock};

pub(super) use crate::storage::day::Day;

use super::kv::{self, Partition, Space};
use crate::storage::{Error, LogPosition, Result};

/// All partitions of days, opened when they are first needed.
///
/// A day is at rest when nothing in it is due. Then nobody opens it but who
/// looks for something that is in it.
pub(super) struct Days {
    space: Box<dyn Space>,
    cache_bytes: u64,
    slots: RwLock<Option<BTreeMap<Day, Arc<Slot>>>>,
    /// Days at rest that were opened all the same, oldest opening first.
    visited: Mutex<VecDeque<Day>>,
}

#[derive(Default)]
struct Slot {
    held: Mutex<Held>,
    /// The position of the last attempt, if the day is at rest.
    resting: Mutex<Option<LogPosition>>,
}

/// A partition while it is open. What was let go of may still be open for a
/// reader, and cannot be opened a second time.
#[derive(Default)]
struct Held {
    kept: Option<Arc<dyn Partition>>,
    released: Option<Weak<dyn Partition>>,
}

impl Days {
    /// How many of the newest days are kept open, with half of the cache each.
    const KEPT: usize = 2;
    /// How many days at rest are open at most; the first to be opened gives way.
    const VISITED: usize = 8;

    /// Finds the days there are.
    pub(super) fn find(space: Box<dyn Space>, cache_bytes: u64) -> kv::Result<Self> {
        let names = space.list()?;
        let days = names.iter().filter_map(|name| Day::parse(name));
        let slots = days.map(|day| (day, Arc::default())).collect();
        Ok(Self {
            space,
            cache_bytes,
            slots: RwLock::new(Some(slots)),
            visited: Mutex::default(),
        })
    }

    /// The days there are, oldest first.
    pub(super) fn all(&self) -> Result<Vec<Day>> {
        self.which(|_| true)
    }

    /// The days that are not at rest, oldest first.
    pub(super) fn awake(&self) -> Result<Vec<Day>> {
        self.which(|slot| slot.resting.lock().is_none())
    }

    /// The days that may have attempts after this position, oldest first.
    pub(super) fn logged_after(&self, after: LogPosition) -> Result<Vec<Day>> {
        self.which(|slot| slot.resting.lock().is_none_or(|last| last > after))
    }

    fn which(&self, choose: impl Fn(&Slot) -> bool) -> Result<Vec<Day>> {
        let slots = self.slots.read();
        let slots = slots.as_ref().ok_or_else(closed)?;
        let chosen = slots.iter().filter(|(_, slot)| choose(slot));
        Ok(chosen.map(|(day, _)| *day).collect())
    }

    /// The days that are neither open nor before this one, oldest first.
    pub(super) fn closed_since(&self, first: Day) -> Result<Vec<Day>> {
        let mut days = self.all()?;
        days.retain(|day| *day >= first && !self.is_open(*day));
        Ok(days)
    }

    /// All but the newest days, oldest first.
    pub(super) fn older(&self) -> Result<Vec<Day>> {
        let mut days = self.all()?;
        days.truncate(days.len().saturating_sub(Self::KEPT));
        Ok(days)
    }

    /// The oldest day there is.
    pub(super) fn oldest(&self) -> Option<Day> {
        let slots = self.slots.read();
        slots.as_ref()?.keys().next().copied()
    }

    /// Whether there is such a day.
    pub(super) fn contains(&self, day: Day) -> bool {
        self.slot(day).is_some()
    }

    /// The position of a day's last attempt, if the day is at rest.
    pub(super) fn resting(&self, day: Day) -> Option<LogPosition> {
        self.slot(day).and_then(|slot| *slot.resting.lock())
    }

    /// Notes that a day is at rest, with its last attempt; or that it is not.
    pub(super) fn set_resting(&self, day: Day, last: Option<LogPosition>) {
        if let Some(slot) = self.slot(day) {
            *slot.resting.lock() = last;
        }
    }

    /// The partition of a day, if there is one.
    pub(super) fn get(&self, day: Day) -> Result<Option<Arc<dyn Partition>>> {
        let (slot, is_new) = {
            let slots = self.slots.read();
            let slots = slots.as_ref().ok_or_else(closed)?;
            let Some(slot) = slots.get(&day) else {
                return Ok(None);
            };
            let newest = slots.keys().rev().take(Self::KEPT);
            (Arc::clone(slot), newest.into_iter().any(|new| *new == day))
        };
        let was_open = slot.held.lock().kept.is_some();
        let partition = self.open(&slot, day, is_new)?;
        if !was_open && slot.resting.lock().is_some() {
            self.visit(day);
        }
        Ok(Some(partition))
    }

    /// The partition of a day, which is created if there is none.
    pub(super) fn get_or_create(&self, day: Day) -> Result<Arc<dyn Partition>> {
        if let Some(partition) = self.get(day)? {
            return Ok(partition);
        }
        let slot = Arc::<Slot>::default();
        let partition = self.open(&slot, day, true)?;
        let mut slots = self.slots.write();
        slots.as_mut().ok_or_else(closed)?.insert(day, slot);
        Ok(partition)
    }

    /// Whether reading the day does not have to open it first.
    pub(super) fn is_open(&self, day: Day) -> bool {
        self.slot(day)
            .is_none_or(|slot| slot.held.try_lock().is_some_and(|held| held.kept.is_some()))
    }

    /// Closes a day as soon as nobody reads it. Who needs it opens it again; an
    /// older one then gets a small cache.
    pub(super) fn release(&self, day: Day) {
        if let Some(slot) = self.slot(day) {
            slot.held.lock().kept = None;
        }
    }

    /// How many bytes the disk still has room for.
    pub(super) fn free(&self) -> Result<u64> {
        self.space.free().map_err(from_kv)
    }

    /// How many bytes of the disk a day takes.
    pub(super) fn size(&self, day: Day) -> Result<u64> {
        self.space.size(&day.to_string()).map_err(from_kv)
    }

    /// Removes a day and returns how many bytes it took. Who reads it finishes.
    pub(super) fn remove(&self, day: Day) -> Result<u64> {
        let name = day.to_string();
        if let Some(slots) = self.slots.write().as_mut() {
            slots.remove(&day);
        }
        let size = self.size(day)?;
        self.space.remove(&name).map_err(from_kv)?;
        Ok(size)
    }

    /// Lets go of all partitions; every later call fails.
    pub(super) fn close(&self) {
        *self.slots.write() = None;
    }

    fn visit(&self, day: Day) {
        let mut visited = self.visited.lock();
        visited.push_back(day);
        let full = visited.len() > Self::VISITED;
        let longest = if full { visited.pop_front() } else { None };
        drop(visited);
        if let Some(longest) = longest {
            self.release(longest);
        }
    }

    fn slot(&self, day: Day) -> Option<Arc<Slot>> {
        self.slots.read().as_ref()?.get(&day).cloned()
    }

    fn open(&self, slot: &Slot, day: Day, is_new: bool) -> Result<Arc<dyn Partition>> {
        let mut held = slot.held.lock();
        if let Some(partition) = &held.kept {
            return Ok(Arc::clone(partition));
        }
        let partition = if let Some(partition) = held.released.as_ref().and_then(Weak::upgrade) {
            partition
        } else {
            let cache = self.cache_bytes / if is_new { 2 } else { 16 };
            self.space.open(&day.to_string(), cache).map_err(from_kv)?
        };
        held.released = Some(Arc::downgrade(&partition));
        held.kept = Some(Arc::clone(&partition));
        Ok(partition)
    }
}

/// What a failure at the seam is to the caller.
pub(super) fn from_kv(error: kv::Error) -> Error {
    match error {
        kv::Error::Corrupt(what) => Error::Corrupt(what),
        kv::Error::Full => Error::Full,
        error => Error::Engine(Box::new(error)),
    }
}

fn closed() -> Error {
    Error::Closed("it was closed".to_owned())
}
