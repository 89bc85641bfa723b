//! Who used an idempotency key first, and with what.

use sha2::{Digest, Sha256};

use crate::{
    domain::{Event, EventId},
    storage::bytes::{Read, Reader, Writer},
};

const VERSION: u8 = 1;
/// Of an event whose payload was erased.
const ERASED: u8 = 2;

/// Stands for an event's type and payload: two events of one digest are
/// [`Event::is_repeated_by`] each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct ContentDigest([u8; 16]);

impl ContentDigest {
    pub(in crate::storage) fn of(event: &Event) -> Self {
        let mut hash = Sha256::new();
        // Neither of the two can hold a zero byte.
        hash.update(event.event_type.as_str());
        hash.update([0]);
        hash.update(event.payload.content_type.as_str());
        hash.update([0]);
        hash.update(&event.payload.data);
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        Self(digest)
    }
}

/// What is stored under an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct IdempotencyRow {
    /// The event that used it first.
    pub(in crate::storage) first: EventId,
    /// What that event was; unknown once it is erased.
    pub(in crate::storage) content: Option<ContentDigest>,
    /// How many deliveries it has.
    pub(in crate::storage) delivery_count: u32,
}

impl IdempotencyRow {
    /// What is stored under the key of an event with so many deliveries.
    pub(in crate::storage) fn of(event: &Event, deliveries: usize) -> Self {
        Self {
            first: event.id,
            content: (!event.is_erased()).then(|| ContentDigest::of(event)),
            delivery_count: u32::try_from(deliveries).unwrap_or(u32::MAX),
        }
    }

    /// Whether the event of the other row repeats this one's. Of one that was
    /// erased nobody can tell, and its key alone counts.
    pub(in crate::storage) fn is_repeated_by(&self, other: &Self) -> bool {
        self.content.is_none() || self.content == other.content
    }

    pub(in crate::storage) fn write(&self) -> Vec<u8> {
        let mut row = Writer::new(self.content.map_or(ERASED, |_| VERSION));
        row.raw(&self.first.to_bytes());
        if let Some(ContentDigest(digest)) = &self.content {
            row.raw(digest);
        }
        row.number(self.delivery_count);
        row.finish()
    }

    pub(in crate::storage) fn read(row: &[u8]) -> Read<Self> {
        let is_erased = row.first() == Some(&ERASED);
        let mut row = Reader::new(row, if is_erased { ERASED } else { VERSION })?;
        let first = EventId::from_bytes(row.array()?);
        let content = if is_erased {
            None
        } else {
            Some(ContentDigest(row.array()?))
        };
        let read = Self {
            first,
            content,
            delivery_count: row.number()?,
        };
        row.finish().map(|()| read)
    }
}
