//! Attempts whose position in the log is not the time at which they were
//! recorded: those that were copied from an engine that numbers them otherwise.
//!
//! Their rows say when they were recorded, and the catalog up to which position
//! there are such. Up to there a time is looked for; beyond, it is the place.

use super::{
    day::{Day, from_kv},
    key,
    kv::{Batch, Order, Partition, Step},
    piece,
    row::read_recorded,
    state::State,
};
use crate::{
    domain::Timestamp,
    storage::{LogPosition, Result},
};

/// Where attempts are whose positions are no times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Untimed {
    /// The last of them; zero if there are none.
    pub(super) last: LogPosition,
    /// When the latest of them was recorded.
    recorded: Timestamp,
}

impl Untimed {
    pub(super) fn read(catalog: &dyn Partition) -> Result<Self> {
        let Some(row) = catalog.get(&key::untimed()).map_err(from_kv)? else {
            return Ok(Self::default());
        };
        let parts = row.split_at_checked(8);
        let numbers = parts.and_then(|(last, time)| key::number_of(last).zip(key::number_of(time)));
        let (last, time) = numbers.ok_or_else(|| piece::malformed(&key::untimed()))?;
        Ok(Self {
            last: LogPosition(last),
            recorded: Timestamp::from_micros(time),
        })
    }

    pub(super) fn write(self, batch: &mut Batch) {
        let numbers = [self.last.0, self.recorded.as_micros()];
        batch.put(key::untimed(), numbers.map(u64::to_be_bytes).concat());
    }

    /// With one more attempt.
    pub(super) fn with(self, position: LogPosition, recorded: Timestamp) -> Self {
        Self {
            last: self.last.max(position),
            recorded: self.recorded.max(recorded),
        }
    }

    /// Whether what was recorded at this time or later may be at or before the
    /// last of them.
    pub(super) fn reach(self, time: Timestamp) -> bool {
        let last = Timestamp::from_micros(self.last.0);
        self != Self::default() && self.recorded.max(last) >= time
    }
}

/// Whether a position tells when its attempt was recorded.
pub(super) fn is_time(position: LogPosition, recorded: Timestamp) -> bool {
    position.0 == recorded.as_micros()
}

impl State {
    /// The position right before the first attempt recorded at or after the
    /// time, wherever positions are no times.
    pub(super) fn untimed_before(&self, time: Timestamp) -> Result<LogPosition> {
        let mut first = None;
        for day in self.days.all()? {
            let found = self.first_since(day, time)?;
            first = first.into_iter().chain(found).min();
        }
        let last = self.untimed.lock().last;
        let beyond = LogPosition(time.as_micros().saturating_sub(1)).max(last);
        Ok(first.map_or(beyond, |first| LogPosition(first.0.saturating_sub(1))))
    }

    /// The first attempt of a day that was recorded at or after a time, of those
    /// up to where positions may be no times. Positions grow with the times.
    fn first_since(&self, day: Day, time: Timestamp) -> Result<Option<LogPosition>> {
        let last = self.untimed.lock().last;
        let (mut low, mut high) = (0, last.0);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.attempt_after(day, LogPosition(middle), last)? {
                Some((position, recorded)) if recorded < time => low = position.0,
                _ => high = middle,
            }
        }
        let found = self.attempt_after(day, LogPosition(low), last)?;
        Ok(found.map(|(position, _)| position))
    }

    /// The next attempt of a day after a position, and when it was recorded.
    fn attempt_after(
        &self,
        day: Day,
        after: LogPosition,
        last: LogPosition,
    ) -> Result<Option<(LogPosition, Timestamp)>> {
        let partition = self.days.get(day)?.filter(|_| after < last);
        let Some(partition) = partition else {
            return Ok(None);
        };
        let mut next = None;
        let bounds = key::attempts(after, last);
        let visit = &mut |key: &[u8], row: &[u8]| {
            next = Some((key.to_vec(), row.to_vec()));
            Step::Break(())
        };
        partition
            .scan(bounds, Order::Forwards, visit)
            .map_err(from_kv)?;
        let Some((key, first)) = next else {
            return Ok(None);
        };
        let position = key::position_of(&key).ok_or_else(|| piece::malformed(&key))?;
        let row = piece::join(&*partition, &key, &first)?;
        let recorded = recorded(position, &row).map_err(|_| piece::malformed(&key))?;
        Ok(Some((position, recorded)))
    }
}

/// When the attempt at a position was recorded, by its row.
pub(super) fn recorded(position: LogPosition, row: &[u8]) -> super::bytes::Read<Timestamp> {
    let told = Timestamp::from_micros(position.0);
    Ok(read_recorded(row)?.unwrap_or(told))
}
