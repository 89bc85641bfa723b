//! Long values, cut into pieces: sled keeps a value that is much longer in a
//! file of its own, which it never syncs.
//!
//! A value begins with the number of its further pieces; those stand under
//! keys of their own.

use super::{
    day::from_kv,
    key,
    kv::{Batch, Order, Partition, Step},
};
use crate::storage::{
    Error, Result,
    bytes::{Malformed, Reader, Writer},
};

/// Longest piece.
const LENGTH: usize = 4_096;

/// Puts a value of any length.
pub(super) fn put(batch: &mut Batch, key: Vec<u8>, value: &[u8]) {
    let (head, rest) = value.split_at(value.len().min(LENGTH));
    let mut number = 0;
    for piece in rest.chunks(LENGTH) {
        number += 1;
        batch.put(key::piece(&key, number), piece.to_vec());
    }
    let mut first = Writer::default();
    first.number(number).raw(head);
    batch.put(key, first.finish());
}

/// Reads what `put` wrote.
pub(super) fn get(partition: &dyn Partition, key: &[u8]) -> Result<Option<Vec<u8>>> {
    match partition.get(key).map_err(from_kv)? {
        Some(first) => join(partition, key, &first).map(Some),
        None => Ok(None),
    }
}

/// The whole value that begins with the `first` piece; what replaced it, if that
/// happened since.
pub(super) fn join(partition: &dyn Partition, key: &[u8], first: &[u8]) -> Result<Vec<u8>> {
    if let Some(value) = try_join(partition, key, first)? {
        return Ok(value);
    }
    let now = partition.get(key).map_err(from_kv)?;
    let replaced = now.filter(|now| now != first);
    let value = match replaced {
        Some(now) => try_join(partition, key, &now)?,
        None => None,
    };
    value.ok_or_else(|| malformed(key))
}

/// None if there are not as many pieces as there should be.
fn try_join(partition: &dyn Partition, key: &[u8], first: &[u8]) -> Result<Option<Vec<u8>>> {
    let (count, head) = head(first).map_err(|_| malformed(key))?;
    if count == 0 {
        return Ok(Some(head.to_vec()));
    }
    let mut value = head.to_vec();
    let mut found = 0;
    partition
        .scan(key::pieces(key), Order::Forwards, &mut |_, piece| {
            if found == count {
                return Step::Break(());
            }
            found += 1;
            value.extend_from_slice(piece);
            Step::Continue(())
        })
        .map_err(from_kv)?;
    Ok((found == count).then_some(value))
}

/// Removes what `put` wrote.
pub(super) fn remove(partition: &dyn Partition, batch: &mut Batch, key: Vec<u8>) -> Result<()> {
    let Some(first) = partition.get(&key).map_err(from_kv)? else {
        return Ok(());
    };
    let (count, _) = head(&first).map_err(|_| malformed(&key))?;
    for number in 1..=count {
        batch.remove(key::piece(&key, number));
    }
    batch.remove(key);
    Ok(())
}

/// Whether a further piece, by its key, is one of a value that is there.
pub(super) fn has_owner(partition: &dyn Partition, key: &[u8]) -> Result<bool> {
    let Some((owner, number)) = key::piece_of(key) else {
        return Ok(false);
    };
    let first = partition.get(owner).map_err(from_kv)?;
    let count = first.and_then(|first| head(&first).ok().map(|(count, _)| count));
    Ok(count.is_some_and(|count| (1..=count).contains(&number)))
}

/// Says which row makes no sense, without a word of what is in it.
pub(super) fn malformed(key: &[u8]) -> Error {
    Error::Corrupt(format!("row {}", key.escape_ascii()))
}

fn head(first: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    let mut reader = Reader::bare(first);
    let count = reader.number()?;
    Ok((count, reader.rest()))
}
