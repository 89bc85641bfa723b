//! Who used an idempotency key first, and with what.

use sha2::{Digest, Sha256};

use crate::{
    domain::{Event, EventId},
    storage::bytes::{Read, Reader, Writer},
};

const VERSION: u8 = 1;

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
    /// What that event was.
    pub(in crate::storage) content: ContentDigest,
    /// How many deliveries it has.
    pub(in crate::storage) delivery_count: u32,
}

impl IdempotencyRow {
    pub(in crate::storage) fn write(&self) -> Vec<u8> {
        let mut row = Writer::new(VERSION);
        row.raw(&self.first.to_bytes())
            .raw(&self.content.0)
            .number(self.delivery_count);
        row.finish()
    }

    pub(in crate::storage) fn read(row: &[u8]) -> Read<Self> {
        let mut row = Reader::new(row, VERSION)?;
        let read = Self {
            first: EventId::from_bytes(row.array()?),
            content: ContentDigest(row.array()?),
            delivery_count: row.number()?,
        };
        row.finish().map(|()| read)
    }
}
