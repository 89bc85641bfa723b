//! How many events and attempts were written to a day. sled goes on behind a
//! hole in its log; where everything of an event was in there, no row is left
//! that would miss it, and the count tells a check all the same.

use super::{day::from_kv, key, kv::Batch, kv::Partition, piece};
use crate::storage::Result;

/// Rows of a day, or how many more of them there are than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) events: i64,
    pub(super) attempts: i64,
}

impl Tally {
    /// What was counted in a day so far.
    pub(super) fn read(partition: &dyn Partition) -> Result<Self> {
        let key = key::tally();
        let row = partition.get(&key).map_err(from_kv)?;
        row.map_or(Ok(Self::default()), |row| {
            Self::parse(&row).ok_or_else(|| piece::malformed(&key))
        })
    }

    /// Counts on by these.
    pub(super) fn add(self, partition: &dyn Partition, batch: &mut Batch) -> Result<()> {
        if self == Self::default() {
            return Ok(());
        }
        let before = Self::read(partition)?;
        let now = [before.events + self.events, before.attempts + self.attempts];
        batch.put(key::tally(), now.map(i64::to_be_bytes).concat());
        Ok(())
    }

    fn parse(row: &[u8]) -> Option<Self> {
        let (events, attempts) = row.split_first_chunk()?;
        Some(Self {
            events: i64::from_be_bytes(*events),
            attempts: i64::from_be_bytes(attempts.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_keeps_its_bytes() {
        let row = b"\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x03";
        let tally = Tally {
            events: 0x0102,
            attempts: 3,
        };
        assert_eq!(Tally::parse(row), Some(tally));
        assert_eq!(Tally::parse(&row[1..]), None);
    }
}
