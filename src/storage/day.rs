//! Days: everything of an event lives in the partition of the day of its id, so
//! that retention can drop it as a whole.

use std::fmt;

use crate::domain::{DeliveryId, EventId, Timestamp};

const SECONDS: u64 = 86_400;

/// A day in UTC, counted from 1970-01-01. Shown as `2024-01-15`, which is the
/// name of its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::storage) struct Day(u64);

impl Day {
    pub(in crate::storage) fn of(time: Timestamp) -> Self {
        Self(time.as_secs() / SECONDS)
    }

    /// The day in whose partition the event is.
    pub(in crate::storage) fn of_event(id: EventId) -> Self {
        Self::of(id.time())
    }

    /// The day in whose partition the delivery is.
    pub(in crate::storage) fn of_delivery(id: DeliveryId) -> Self {
        Self::of(id.time())
    }

    /// When it begins.
    pub(in crate::storage) fn start(self) -> Timestamp {
        Timestamp::from_secs(self.0 * SECONDS)
    }

    /// The day after.
    pub(in crate::storage) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number that is stored for it.
    pub(in crate::storage) fn number(self) -> u64 {
        self.0
    }

    pub(in crate::storage) fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The day so much earlier.
    pub(in crate::storage) fn before(self, days: u64) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// The day of a partition's name.
    pub(in crate::storage) fn parse(name: &str) -> Option<Self> {
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
