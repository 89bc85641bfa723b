//! How long idempotency keys and request ids are remembered, and which events of
//! a call are new by their keys.

use std::{collections::HashMap, hash::Hash, time::Duration};

use super::{Accepted, Error, Result, row::IdempotencyRow};
use crate::domain::{EventId, Timestamp};

/// How long a key or a request id is remembered.
pub(super) const REMEMBERED: Duration = Duration::from_hours(7 * 24);

/// An event of a call, and what is to be stored under its key.
pub(super) struct Keyed<'a, K: ?Sized> {
    pub(super) event_id: EventId,
    pub(super) delivery_count: u32,
    pub(super) key: Option<(&'a K, &'a IdempotencyRow)>,
}

/// Whether a request id of this time is forgotten by now.
pub(super) fn is_forgotten(requested: Timestamp, now: Timestamp) -> bool {
    now.since(requested) > REMEMBERED
}

/// Since when a key that is used at this time is remembered.
pub(super) fn forgotten_before(time: Timestamp) -> Timestamp {
    Timestamp::MIN.after(time.since(Timestamp::MIN.after(REMEMBERED)))
}

/// Tells new events of a call from duplicates; `KeyReused` if a key was used
/// for something else. `earlier` finds who used a key since a time.
pub(super) fn answers<'a, K: Hash + Eq + ?Sized + 'a>(
    events: impl Iterator<Item = Keyed<'a, K>>,
    earlier: impl Fn(&K, Timestamp) -> Result<Option<IdempotencyRow>>,
) -> Result<Vec<Accepted>> {
    let mut used: HashMap<&K, IdempotencyRow> = HashMap::new();
    let mut answers = Vec::new();
    for (index, event) in events.enumerate() {
        let mut answer = Accepted {
            event_id: event.event_id,
            duplicate: false,
            delivery_count: event.delivery_count,
        };
        if let Some((key, row)) = event.key {
            let before = match used.get(key) {
                Some(before) => Some(*before),
                None => earlier(key, forgotten_before(event.event_id.time()))?,
            };
            match before {
                None => {
                    used.insert(key, *row);
                }
                Some(before) if !before.is_repeated_by(row) => {
                    let first = before.first;
                    return Err(Error::KeyReused { index, first });
                }
                Some(before) => {
                    answer = Accepted {
                        event_id: before.first,
                        duplicate: true,
                        delivery_count: before.delivery_count,
                    };
                }
            }
        }
        answers.push(answer);
    }
    Ok(answers)
}
