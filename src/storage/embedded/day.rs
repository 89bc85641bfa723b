//! Partitions by day: everything of an event lives in that of the day of its
//! id, so that retention can drop it as a whole.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::{Mutex, RwLock};

use super::kv::{self, Partition, Space};
use crate::{
    domain::{DeliveryId, EventId, Timestamp},
    storage::{Error, Result},
};

const SECONDS: u64 = 86_400;

/// A day in UTC, counted from 1970-01-01. Shown as `2024-01-15`, which is the
/// name of its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(u64);

impl Day {
    pub(super) fn of(time: Timestamp) -> Self {
        Self(time.as_secs() / SECONDS)
    }

    /// The day in whose partition the event is.
    pub(super) fn of_event(id: EventId) -> Self {
        Self::of(id.time())
    }

    /// The day in whose partition the delivery is.
    pub(super) fn of_delivery(id: DeliveryId) -> Self {
        Self::of(id.time())
    }

    /// When it begins.
    pub(super) fn start(self) -> Timestamp {
        Timestamp::from_secs(self.0 * SECONDS)
    }

    /// The number that is stored for it.
    pub(super) fn number(self) -> u64 {
        self.0
    }

    pub(super) fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The day so much earlier.
    pub(super) fn before(self, days: u64) -> Self {
        Self(self.0.saturating_sub(days))
    }

    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '-').map(str::parse::<u64>);
        let mut part = || parts.next()?.ok().filter(|part| *part < 10_000);
        let (year, month, day) = (part()?, part()?, part()?);
        // The inverse of `Timestamp::date`: years begin in March, so that a
        // leap day ends one.
        let (year, month) = if month > 2 {
            (year, month - 3)
        } else {
            (year.checked_sub(1)?, month + 9)
        };
        let of_year = (153 * month + 2) / 5 + day.checked_sub(1)?;
        let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year;
        let found = Self(days.checked_sub(719_468)?);
        (found.to_string() == name).then_some(found)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.start().date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// All partitions of days, opened when they are first needed.
pub(super) struct Days {
    space: Box<dyn Space>,
    cache_bytes: u64,
    slots: RwLock<Option<BTreeMap<Day, Arc<Slot>>>>,
}

/// A partition, once it was opened.
#[derive(Default)]
struct Slot(Mutex<Option<Arc<dyn Partition>>>);

impl Days {
    /// Finds the days there are. Half of `cache_bytes` is for the newest.
    pub(super) fn find(space: Box<dyn Space>, cache_bytes: u64) -> kv::Result<Self> {
        let names = space.list()?;
        let days = names.iter().filter_map(|name| Day::parse(name));
        let slots = days.map(|day| (day, Arc::default())).collect();
        Ok(Self {
            space,
            cache_bytes,
            slots: RwLock::new(Some(slots)),
        })
    }

    /// The days there are, oldest first.
    pub(super) fn all(&self) -> Vec<Day> {
        let slots = self.slots.read();
        slots
            .iter()
            .flat_map(|slots| slots.keys().copied())
            .collect()
    }

    /// The oldest day there is.
    pub(super) fn oldest(&self) -> Option<Day> {
        let slots = self.slots.read();
        slots.as_ref()?.keys().next().copied()
    }

    /// The partition of a day, if there is one.
    pub(super) fn get(&self, day: Day) -> Result<Option<Arc<dyn Partition>>> {
        let (slot, newest) = {
            let slots = self.slots.read();
            let slots = slots.as_ref().ok_or_else(closed)?;
            let Some(slot) = slots.get(&day) else {
                return Ok(None);
            };
            let newest = slots.last_key_value().is_some_and(|(last, _)| *last == day);
            (Arc::clone(slot), newest)
        };
        self.open(&slot, day, newest).map(Some)
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
        let slots = self.slots.read();
        slots
            .as_ref()
            .and_then(|slots| slots.get(&day))
            .is_none_or(|slot| slot.0.try_lock().is_some_and(|open| open.is_some()))
    }

    /// Lets go of all partitions; every later call fails.
    pub(super) fn close(&self) {
        *self.slots.write() = None;
    }

    fn open(&self, slot: &Slot, day: Day, newest: bool) -> Result<Arc<dyn Partition>> {
        let mut open = slot.0.lock();
        if let Some(partition) = &*open {
            return Ok(Arc::clone(partition));
        }
        let cache = self.cache_bytes / if newest { 2 } else { 16 };
        let partition = self.space.open(&day.to_string(), cache).map_err(from_kv)?;
        *open = Some(Arc::clone(&partition));
        Ok(partition)
    }
}

/// What a failure at the seam is to the caller.
pub(super) fn from_kv(error: kv::Error) -> Error {
    match error {
        kv::Error::Corrupt(what) => Error::Corrupt(what),
        error => Error::Engine(Box::new(error)),
    }
}

fn closed() -> Error {
    Error::Closed("it was closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_reads_back_from_its_name_and_nothing_else_does() {
        for number in (0..60_000).step_by(7) {
            let day = Day(number);
            assert_eq!(Day::parse(&day.to_string()), Some(day));
        }
        for name in [
            "2024-02-30",
            "2024-1-01",
            "1969-12-31",
            "lost+found",
            "a-b-c",
            "",
        ] {
            assert_eq!(Day::parse(name), None, "{name}");
        }
    }
}
