//! Counts of attempts: each slot as its distance from the one before, with its
//! count.

use crate::{
    domain::Counts,
    storage::bytes::{Malformed, Read, Reader, Writer},
};

const VERSION: u8 = 1;

pub(in crate::storage) fn write_counts(counts: &Counts) -> Vec<u8> {
    let mut row = Writer::new(VERSION);
    let mut last = 0;
    for (slot, count) in counts.iter() {
        row.number(slot - last).number(count.unsigned_abs());
        last = slot;
    }
    row.finish()
}

pub(in crate::storage) fn read_counts(row: &[u8]) -> Read<Counts> {
    let mut row = Reader::new(row, VERSION)?;
    let mut counts = Counts::default();
    let mut slot = 0_u16;
    while !row.is_empty() {
        slot = slot.checked_add(row.number()?).ok_or(Malformed)?;
        counts.add(slot, row.number()?);
    }
    Ok(counts)
}
