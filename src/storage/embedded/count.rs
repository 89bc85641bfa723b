//! How much there is of everything, by reading all of it.

use super::{
    day::{Day, from_kv},
    key::{self, Tag},
    kv::{Order, Partition, Step},
    piece,
    row::{EventRow, read_api_key},
    state::State,
};
use crate::storage::{Counts, DayCounts, Result, Totals};

impl State {
    pub(super) fn counts(&self) -> Result<Counts> {
        let mut totals = self.catalog_totals()?;
        let mut days = Vec::new();
        for day in self.days.all()? {
            let Some(counts) = self.day_counts(day)? else {
                continue;
            };
            totals.events += counts.events;
            totals.erased += counts.erased;
            totals.deliveries += counts.deliveries;
            totals.due += counts.due;
            totals.attempts += counts.attempts;
            totals.idempotency_keys += counts.idempotency_keys;
            days.push(counts);
        }
        Ok(Counts {
            format: self.format.clone(),
            totals,
            days,
            free: self.days.free().ok(),
        })
    }

    /// Whether nothing was ever written to the store.
    pub(super) fn is_empty(&self) -> Result<bool> {
        let catalog = self.catalog_totals()?;
        Ok(catalog == Totals::default()
            && self.days.all()?.is_empty()
            && self.first_day.lock().is_none()
            && self.gone.lock().before.is_none())
    }

    fn catalog_totals(&self) -> Result<Totals> {
        let versions = self.subscriptions.read().versions();
        let catalog = self.catalog()?;
        Ok(Totals {
            subscriptions: count(&*catalog, Tag::Subscription)?,
            subscription_versions: versions,
            requests: count(&*catalog, Tag::Request)?,
            api_keys: count(&*catalog, Tag::ApiKey)?,
            revoked_api_keys: count_where(&*catalog, Tag::ApiKey, |key, first| {
                let row = piece::join(&*catalog, key, first).ok();
                is_revoked(key, row)
            })?,
            ..Totals::default()
        })
    }

    fn day_counts(&self, day: Day) -> Result<Option<DayCounts>> {
        let at_rest = self.days.resting(day).is_some();
        let Some(partition) = self.days.get(day)? else {
            return Ok(None);
        };
        let count = |tag| count(&*partition, tag);
        Ok(Some(DayCounts {
            day: day.start(),
            events: count(Tag::Event)?,
            erased: erased(&*partition)?,
            deliveries: count(Tag::Delivery)?,
            due: count(Tag::Due)?,
            attempts: count(Tag::Attempt)?,
            idempotency_keys: count(Tag::Idempotency)?,
            bytes: self.days.size(day)?,
            at_rest,
        }))
    }
}

fn count(partition: &dyn Partition, tag: Tag) -> Result<u64> {
    count_where(partition, tag, |_, _| true)
}

/// The events whose payload was erased. What does not read is not.
fn erased(partition: &dyn Partition) -> Result<u64> {
    count_where(partition, Tag::Event, |key, first| {
        let row = piece::join(partition, key, first).ok();
        let id = key::named_of(key).zip(key::event_of(key));
        let row = row
            .zip(id)
            .map(|(row, ((tenant, _), id))| EventRow::read(tenant, id, &row));
        row.is_some_and(|row| row.is_ok_and(|row| row.event.is_erased()))
    })
}

/// Whether that is the row of an API key that was revoked.
fn is_revoked(key: &[u8], row: Option<Vec<u8>>) -> bool {
    let found = key::api_key_of(key).zip(row);
    found
        .and_then(|(id, row)| read_api_key(id, &row).ok())
        .is_some_and(|found| found.revoke_time.is_some())
}

fn count_where(
    partition: &dyn Partition,
    tag: Tag,
    counts: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<u64> {
    let mut count = 0;
    let visit = &mut |key: &[u8], row: &[u8]| {
        count += u64::from(counts(key, row));
        Step::Continue(())
    };
    partition
        .scan(key::every(tag), Order::Forwards, visit)
        .map_err(from_kv)?;
    Ok(count)
}
