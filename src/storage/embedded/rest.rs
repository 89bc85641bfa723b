//! Days at rest: when nothing in an older day is due any more, the catalog says
//! so, and neither a restart nor the queue has to open it.
//!
//! Only the committer notes it, and takes it back before it writes to the day;
//! so what the catalog says is never less than what is in the day.

use super::{
    day::{Day, Days, from_kv},
    key,
    kv::{Batch, Order, Partition, Step},
};
use crate::storage::{LogPosition, Result};

/// Reads which days are at rest. Days that are no longer there are forgotten.
pub(super) fn recall(days: &Days, catalog: &dyn Partition) -> Result<LogPosition> {
    let mut end = LogPosition::default();
    let mut forgotten = Batch::default();
    let visit = &mut |key: &[u8], value: &[u8]| {
        let day = key::number_of(key).map(Day::from_number);
        if let (Some(day), Some(last)) = (day, key::number_of(value).map(LogPosition)) {
            if days.contains(day) {
                days.set_resting(day, Some(last));
            } else {
                forgotten.remove(key.to_vec());
            }
            end = end.max(last);
        }
        Step::Continue(())
    };
    catalog
        .scan(key::all_resting(), Order::Forwards, visit)
        .map_err(from_kv)?;
    commit(catalog, forgotten)?;
    Ok(end)
}

/// Notes which of the older days have come to rest, and closes those.
pub(super) fn settle(days: &Days, catalog: &dyn Partition) -> Result<()> {
    let mut settled = Vec::new();
    let mut batch = Batch::default();
    for day in days.older()? {
        if days.resting(day).is_some() {
            continue;
        }
        if let Some(last) = last_if_at_rest(days, day)? {
            batch.put(key::resting(day), last.0.to_be_bytes().to_vec());
            settled.push((day, last));
        }
    }
    commit(catalog, batch)?;
    for (day, last) in settled {
        days.set_resting(day, Some(last));
        days.release(day);
    }
    Ok(())
}

/// The position of a day's last attempt, if nothing in the day is due.
pub(super) fn last_if_at_rest(days: &Days, day: Day) -> Result<Option<LogPosition>> {
    if let Some(last) = days.resting(day) {
        return Ok(Some(last));
    }
    match days.get(day)? {
        Some(partition) if is_empty(&*partition)? => last_attempt(&*partition).map(Some),
        _ => Ok(None),
    }
}

/// The position of a day's last attempt.
pub(super) fn last_attempt(partition: &dyn Partition) -> Result<LogPosition> {
    let mut last = LogPosition::default();
    let all = key::attempts(LogPosition::default(), LogPosition(u64::MAX));
    partition
        .scan(all, Order::Backwards, &mut |key, _| {
            last = key::position_of(key).unwrap_or_default();
            Step::Break(())
        })
        .map_err(from_kv)?;
    Ok(last)
}

/// Whether nothing in the day is due, now or later.
fn is_empty(partition: &dyn Partition) -> Result<bool> {
    let mut empty = true;
    partition
        .scan(key::queues(None), Order::Forwards, &mut |_, _| {
            empty = false;
            Step::Break(())
        })
        .map_err(from_kv)?;
    Ok(empty)
}

fn commit(catalog: &dyn Partition, batch: Batch) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    catalog.commit(batch).map_err(from_kv)
}
