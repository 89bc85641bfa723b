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
    /// How often the day was written anew: part of its partition's name.
    generation: u32,
    kept: Option<Arc<dyn Partition>>,
    released: Option<Weak<dyn Partition>>,
}

/// The name of a partition that is a day no longer.
pub(super) struct Replaced(String);

impl Days {
    /// How many of the newest days are kept open, with half of the cache each.
    const KEPT: usize = 2;
    /// How many days at rest are open at most; the first to be opened gives way.
    const VISITED: usize = 8;

    /// Finds the days there are.
    pub(super) fn find(space: Box<dyn Space>, cache_bytes: u64) -> kv::Result<Self> {
        let mut generations = BTreeMap::new();
        for (day, generation) in space.list()?.iter().filter_map(|name| parse(name)) {
            let newest = generations.entry(day).or_insert(generation);
            *newest = generation.max(*newest);
        }
        let slots = generations.into_iter().map(|(day, generation)| {
            let held = Mutex::new(Held {
                generation,
                ..Held::default()
            });
            let resting = Mutex::default();
            (day, Arc::new(Slot { held, resting }))
        });
        let slots = slots.collect();
        Ok(Self {
            space,
            cache_bytes,
            slots: RwLock::new(Some(slots)),
            visited: Mutex::default(),
        })
    }

    /// Removes what a crash left beside the days: parts of them that were written
    /// anew, and what those took the place of.
    pub(super) fn sweep(&self) -> kv::Result<()> {
        for name in self.space.list()? {
            let day = name.split('.').next().and_then(Day::parse);
            let is_left = day.is_some_and(|day| {
                let slot = self.slot(day);
                slot.is_none_or(|slot| name != partition(day, slot.held.lock().generation))
            });
            if is_left {
                self.space.remove(&name)?;
            }
        }
        Ok(())
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
        let partition = self.open_slot(&slot, day, is_new)?;
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
        let partition = self.open_slot(&slot, day, true)?;
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

    /// The partitions that are open.
    pub(super) fn open(&self) -> Vec<Arc<dyn Partition>> {
        let slots = self.slots.read();
        let slots = slots.iter().flat_map(BTreeMap::values);
        slots
            .filter_map(|slot| slot.held.try_lock()?.kept.clone())
            .collect()
    }

    /// How many bytes of the disk a day takes.
    pub(super) fn size(&self, day: Day) -> Result<u64> {
        let generation = self.slot(day).map(|slot| slot.held.lock().generation);
        let name = partition(day, generation.unwrap_or_default());
        self.space.size(&name).map_err(from_kv)
    }

    /// An empty partition beside a day, to be filled with what is to take the
    /// place of the day.
    pub(super) fn begin_anew(&self, day: Day) -> Result<Arc<dyn Partition>> {
        let name = aside(day);
        self.space.remove(&name).map_err(from_kv)?;
        let cache = self.cache_bytes / 16;
        self.space.open(&name, cache).map_err(from_kv)
    }

    /// Removes what `begin_anew` began and nobody has open any more.
    pub(super) fn give_up_anew(&self, day: Day) -> Result<()> {
        self.space.remove(&aside(day)).map_err(from_kv)
    }

    /// Puts what `begin_anew` began, and nobody has open any more, in the place
    /// of the day. Returns what has the day's rows until now, to be removed: who
    /// reads it finishes. After an error nobody knows which of the two is the day.
    pub(super) fn replace(&self, day: Day) -> Result<Replaced> {
        let slot = self.slot(day).ok_or_else(closed)?;
        let mut held = slot.held.lock();
        let (old, generation) = (partition(day, held.generation), held.generation + 1);
        let renamed = self.space.rename(&aside(day), &partition(day, generation));
        renamed.map_err(from_kv)?;
        *held = Held {
            generation,
            ..Held::default()
        };
        Ok(Replaced(old))
    }

    /// Removes what another partition took the place of.
    pub(super) fn remove_replaced(&self, old: &Replaced) -> Result<()> {
        self.space.remove(&old.0).map_err(from_kv)
    }

    /// Removes a day and returns how many bytes it took. Who reads it finishes.
    pub(super) fn remove(&self, day: Day) -> Result<u64> {
        let size = self.size(day)?;
        let removed = self
            .slots
            .write()
            .as_mut()
            .and_then(|days| days.remove(&day));
        let generation = removed.map(|slot| slot.held.lock().generation);
        let name = partition(day, generation.unwrap_or_default());
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

    fn open_slot(&self, slot: &Slot, day: Day, is_new: bool) -> Result<Arc<dyn Partition>> {
        let mut held = slot.held.lock();
        if let Some(partition) = &held.kept {
            return Ok(Arc::clone(partition));
        }
        let partition = if let Some(partition) = held.released.as_ref().and_then(Weak::upgrade) {
            partition
        } else {
            let cache = self.cache_bytes / if is_new { 2 } else { 16 };
            let name = partition(day, held.generation);
            self.space.open(&name, cache).map_err(from_kv)?
        };
        held.released = Some(Arc::downgrade(&partition));
        held.kept = Some(Arc::clone(&partition));
        Ok(partition)
    }
}

/// Name of the partition of a day that was written anew so many times. Of
/// several the last one is the day: it is whole when it gets its name.
fn partition(day: Day, generation: u32) -> String {
    match generation {
        0 => day.to_string(),
        generation => format!("{day}.{generation}"),
    }
}

/// Name of what is to become a day.
fn aside(day: Day) -> String {
    format!("{day}.part")
}

/// The day and the generation of a partition's name.
fn parse(name: &str) -> Option<(Day, u32)> {
    let (day, generation) = match name.split_once('.') {
        None => (name, 0),
        Some((day, generation)) => (day, generation.parse().ok()?),
    };
    Some((Day::parse(day)?, generation))
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
