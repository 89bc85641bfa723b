//! What the walks of the engines over events and deliveries share, and where a
//! page of subscriptions ends. The walks go by ids, newest first, look at a
//! bounded number of rows for a page, and go on at a place; so writes on either
//! side leave what they have yet to see as it is.

use std::sync::Arc;

use super::{Cursor, Error, Page, PageRequest, Result};
use crate::domain::{DeliveryId, Subscription, TimeRange, Timestamp};

/// Most rows that are looked at for a page.
const MAX_ROWS: usize = 4_000;

/// Size at which a page ends, however few are on it.
pub(in crate::storage) const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Rows that are read at once.
pub(in crate::storage) const CHUNK: usize = 64;

/// Where a walk goes on: with the delivery of this id, or the next older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct Place {
    pub(in crate::storage) id: u128,
    /// Which of that delivery's attempts are still to come, as the engine tells
    /// them: all of them if it is `u64::MAX`.
    attempts: u64,
}

impl Place {
    /// Within the attempts of a delivery.
    pub(in crate::storage) fn within(id: u128, attempts: u64) -> Self {
        Self { id, attempts }
    }

    fn at(id: u128) -> Self {
        Self::within(id, u64::MAX)
    }

    /// What it says of the attempts of a delivery.
    pub(in crate::storage) fn attempts_of(self, id: u128) -> u64 {
        if self.id == id {
            self.attempts
        } else {
            u64::MAX
        }
    }

    /// Where a page begins; `None` if with the newest.
    pub(in crate::storage) fn of(page: &PageRequest) -> Result<Option<Self>> {
        page.cursor.as_ref().map(Self::from_cursor).transpose()
    }

    fn to_cursor(self) -> Cursor {
        let mut bytes = self.id.to_be_bytes().to_vec();
        bytes.extend(self.attempts.to_be_bytes());
        Cursor(bytes)
    }

    fn from_cursor(cursor: &Cursor) -> Result<Self> {
        let parts = cursor.0.split_first_chunk();
        match parts.map(|(id, attempts)| (id, attempts.try_into())) {
            Some((id, Ok(attempts))) => Ok(Self {
                id: u128::from_be_bytes(*id),
                attempts: u64::from_be_bytes(attempts),
            }),
            _ => Err(Error::Corrupt("cursor".to_owned())),
        }
    }
}

/// A page that goes on at a place.
pub(in crate::storage) fn continued<T>(items: Vec<T>, place: Option<Place>) -> Page<T> {
    Page {
        items,
        next: place.map(Place::to_cursor),
    }
}

/// A page of subscriptions, from as many as are wanted and one more.
pub(in crate::storage) fn subscriptions(
    mut found: Vec<Arc<Subscription>>,
    wanted: usize,
) -> Page<Arc<Subscription>> {
    let before = found.iter().scan(0, |sum, subscription| {
        let before = *sum;
        *sum += subscription.spec.size();
        Some(before)
    });
    let fit = before.take_while(|&before| before < MAX_BYTES).count();
    let shown = wanted.min(fit);
    let last = found[..shown].last().filter(|_| found.len() > shown);
    let next = last.map(|last| Cursor(last.id.to_bytes().to_vec()));
    found.truncate(shown);
    Page { items: found, next }
}

/// How far a walk has come.
#[derive(Debug, Default)]
pub(in crate::storage) struct Pace {
    shown: Option<u128>,
    rows: usize,
}

impl Pace {
    /// Whether enough was looked at for one page.
    pub(in crate::storage) fn is_spent(&self) -> bool {
        self.rows >= MAX_ROWS
    }

    /// Counts rows that were looked at on the way, or what cost as much.
    pub(in crate::storage) fn look(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// Counts the row of this id, which is shown.
    pub(in crate::storage) fn show(&mut self, id: u128) {
        self.shown = Some(id);
        self.rows += 1;
    }

    /// Where to go on after what was shown last. If all that was read is shown,
    /// that is where the walk reads on.
    pub(in crate::storage) fn place(&self, all_shown: bool, next: Option<u128>) -> Option<Place> {
        let id = if all_shown {
            next
        } else {
            self.shown.and_then(|id| id.checked_sub(1))
        };
        id.map(Place::at)
    }
}

/// The first and the last id of a walk from a place, through what was accepted
/// within the range.
pub(in crate::storage) fn ids(range: TimeRange, from: Option<Place>) -> (u128, u128) {
    let newest = match range.end {
        Timestamp::MAX => u128::MAX,
        end => first_id(end).saturating_sub(1),
    };
    let newest = from.map_or(newest, |place| newest.min(place.id));
    (first_id(range.start), newest)
}

/// The smallest id of this time or later, in whole milliseconds as ids have
/// them.
pub(in crate::storage) fn first_id(time: Timestamp) -> u128 {
    let millis = time.as_micros().div_ceil(1_000).min((1 << 48) - 1);
    u128::from(millis) << 80
}

/// The number that a delivery's id is to a walk.
pub(in crate::storage) fn number(id: DeliveryId) -> u128 {
    u128::from_be_bytes(id.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_from_its_cursor() {
        let place = Place::within(7, 3);
        let cursor = place.to_cursor();
        assert_eq!(Place::from_cursor(&cursor).unwrap(), place);
        let short = Cursor(cursor.0[1..].to_vec());
        assert!(Place::from_cursor(&short).is_err());
        assert_eq!((place.attempts_of(7), place.attempts_of(8)), (3, u64::MAX));
    }
}
