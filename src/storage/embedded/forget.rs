//! Events of a tenant go before their day does: all rows of them, some events at
//! a time. Their bytes go when the day is written anew, like those of what was
//! erased.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    committer::Committer, day::Day, group::Group, key, kv::Batch, piece, row::EventRow,
    store::Store, write::Write,
};
use crate::{
    domain::{
        Attempt, DeliveryId, Erasure, EventId, SubscriptionId, TenantId, TimeRange, Timestamp,
    },
    storage::{RemovedEvents, Result},
};

/// Events of a tenant to be removed.
pub(super) struct Forgetting {
    pub(super) tenant: TenantId,
    pub(super) events: Vec<EventId>,
}

impl Store {
    /// See [`crate::storage::Retention::remove_of_tenant`].
    pub(super) async fn forget_events(
        &self,
        tenant: &TenantId,
        before: Day,
    ) -> Result<RemovedEvents> {
        let what = Erasure::Accepted(TimeRange {
            start: Timestamp::MIN,
            end: before.start(),
        });
        let mut removed = RemovedEvents::default();
        let mut from = None;
        loop {
            let of = tenant.clone();
            let found = self.read(move |state| state.erasable(&of, what, from));
            let (events, next) = found.await?;
            let call = Forgetting {
                tenant: tenant.clone(),
                events,
            };
            let more = self.write(|reply| Write::Forget(call, reply)).await?;
            removed.events += more.events;
            removed.kept += more.kept;
            if next.is_none() {
                return Ok(removed);
            }
            from = next;
        }
    }
}

impl Committer {
    /// Removes events, but those of which something is due.
    pub(super) fn forget_events(&mut self, call: &Forgetting) -> Result<RemovedEvents> {
        let state = Arc::clone(&self.state);
        let mut group = Group::new(&state, self.last_position);
        let mut days = BTreeSet::new();
        let mut removed = RemovedEvents::default();
        for id in &call.events {
            let Some(row) = state.event_row(&call.tenant, *id)? else {
                continue;
            };
            match without(&group, &row)? {
                Some((batch, attempts)) => {
                    let day = Day::of_event(*id);
                    group.batch(day).append(batch);
                    group.tally(day).events -= 1;
                    for attempt in &attempts {
                        group.count(attempt, -1);
                    }
                    days.insert(day);
                    removed.events += 1;
                }
                None => removed.kept += 1,
            }
        }
        self.note_rewrites(days)?;
        self.commit(group, &[])?;
        state.tail.restart(self.last_position);
        Ok(removed)
    }
}

/// What removes all rows of an event, and its attempts; `None` if one of its
/// deliveries is due.
fn without(group: &Group<'_>, row: &EventRow) -> Result<Option<(Batch, Vec<Attempt>)>> {
    let event = &row.event;
    let mut batch = Batch::default();
    let Some(partition) = group.state().days.get(Day::of_event(event.id))? else {
        return Ok(Some((batch, Vec::new())));
    };
    let mut attempts = Vec::new();
    let of_event: Vec<(DeliveryId, SubscriptionId)> =
        event.id.deliveries(&row.subscriptions).collect();
    for (id, subscription) in of_event {
        let Some(delivery) = group.delivery(subscription, id)? else {
            continue;
        };
        if delivery.delivery.due.is_some() {
            return Ok(None);
        }
        for position in &delivery.attempts {
            // One that does not read is found by a check.
            attempts.extend(group.state().attempt(Day::of_delivery(id), *position));
            piece::remove(&*partition, &mut batch, key::attempt(*position))?;
        }
        batch.remove(key::delivery(subscription, id));
    }
    if let Some(name) = &event.idempotency_key {
        batch.remove(key::idempotency(&event.tenant, name));
    }
    piece::remove(&*partition, &mut batch, key::body(event.id))?;
    piece::remove(&*partition, &mut batch, key::event(&event.tenant, event.id))?;
    Ok(Some((batch, attempts)))
}
