//! What a day held for certain: its last event and its last attempt when the
//! store was last closed. A database takes damage in its log for a write that
//! was cut off and goes on without what follows; a check, and whoever opens the
//! store, knows by this that there was more. Nothing of a day is ever removed but the whole.

use super::{
    committer::Committer,
    day::{Day, Days, from_kv},
    key::{self, Tag},
    kv::{Batch, Order, Partition, Step},
    rest,
};
use crate::storage::{LogPosition, Result};

/// Rows that were in a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Witness {
    /// The last attempt; zero if there was none.
    pub(super) attempt: LogPosition,
    /// The key of the last event; empty if there was none.
    pub(super) event: Vec<u8>,
}

impl Witness {
    fn of(partition: &dyn Partition) -> Result<Self> {
        let mut event = Vec::new();
        let visit = &mut |key: &[u8], _: &[u8]| {
            event = key.to_vec();
            Step::Break(())
        };
        partition
            .scan(key::every(Tag::Event), Order::Backwards, visit)
            .map_err(from_kv)?;
        Ok(Self {
            attempt: rest::last_attempt(partition)?,
            event,
        })
    }

    fn write(&self) -> Vec<u8> {
        [&self.attempt.0.to_be_bytes(), self.event.as_slice()].concat()
    }

    pub(super) fn read(row: &[u8]) -> Option<Self> {
        let (attempt, event) = row.split_first_chunk()?;
        Some(Self {
            attempt: LogPosition(u64::from_be_bytes(*attempt)),
            event: event.to_vec(),
        })
    }

    /// Which of its rows the day no longer has.
    pub(super) fn missing_in(&self, partition: &dyn Partition) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        let has = |key: &[u8]| partition.get(key).map_err(from_kv);
        if let Some(id) = key::event_of(&self.event)
            && has(&self.event)?.is_none()
        {
            missing.push(format!("event {id}"));
        }
        if self.attempt > LogPosition::default() && has(&key::attempt(self.attempt))?.is_none() {
            missing.push(format!("the attempt at {}", self.attempt.0));
        }
        Ok(missing)
    }
}

/// Which rows, that a day held when the store was last closed, it no longer has.
pub(super) fn missing(
    day: Day,
    partition: &dyn Partition,
    catalog: &dyn Partition,
) -> Result<Vec<String>> {
    let noted = catalog.get(&key::witness(day)).map_err(from_kv)?;
    let witness = noted.and_then(|row| Witness::read(&row));
    witness.map_or(Ok(Vec::new()), |witness| witness.missing_in(partition))
}

impl Committer {
    /// Notes what the days hold, for a check and for the next opening. A store without that is as good.
    pub(super) fn note_witnesses(&self) {
        let noted = note(&self.state.days, &*self.catalog).and_then(|batch| {
            if batch.is_empty() {
                return Ok(());
            }
            self.commit_catalog(batch)
        });
        if let Err(error) = noted {
            tracing::warn!(%error, "what the days hold could not be noted");
        }
    }
}

/// What is to be noted of the days that are open, where that is news.
fn note(days: &Days, catalog: &dyn Partition) -> Result<Batch> {
    let mut batch = Batch::default();
    for day in days.awake()? {
        if !days.is_open(day) {
            continue;
        }
        let Some(partition) = days.get(day)? else {
            continue;
        };
        let (key, row) = (key::witness(day), Witness::of(&*partition)?.write());
        if catalog.get(&key).map_err(from_kv)?.as_ref() != Some(&row) {
            batch.put(key, row);
        }
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_keeps_its_bytes() {
        let witness = Witness {
            attempt: LogPosition(0x0102),
            event: b"Ea\0b".to_vec(),
        };
        let row = witness.write();
        assert_eq!(row, b"\0\0\0\0\0\0\x01\x02Ea\0b");
        assert_eq!(Witness::read(&row), Some(witness));
        assert_eq!(Witness::read(&row[..7]), None);
    }
}
