//! Erasure: the rows of events and attempts are replaced by what stays of them,
//! some events at a time, so that other writes need not wait for long. The old
//! bytes go when the day is written anew, which is noted before.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;

use super::{
    accept::put_event,
    committer::Committer,
    day::Day,
    group::Group,
    key,
    kv::{Batch, Partition},
    piece,
    row::{EventRow, read_attempt, read_recorded, write_attempt, write_recorded},
    state::State,
    store::Store,
    walk::Walk,
    write::Write,
};
use crate::{
    domain::{DeliveryFilter, Erasure, EventId, Reach, TenantId, Timestamp},
    storage::{Erase, Erased, Error, LogPosition, Resource, Result, walk::Place},
};

/// Events that are erased by one write.
const EVENTS: usize = 64;

/// Events of a tenant to be erased.
pub(super) struct Erasing {
    pub(super) tenant: TenantId,
    pub(super) what: Erasure,
    pub(super) events: Vec<EventId>,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Erase for Store {
    async fn erase(&self, tenant: &TenantId, what: Erasure, now: Timestamp) -> Result<Erased> {
        let mut erased = Erased::default();
        let mut from = None;
        loop {
            let of = tenant.clone();
            let found = self.read(move |state| state.erasable(&of, what, from));
            let (events, next) = found.await?;
            let call = Erasing {
                tenant: tenant.clone(),
                what,
                events,
                now,
            };
            erased += self.write(|reply| Write::Erase(call, reply)).await?;
            if next.is_none() {
                return Ok(erased);
            }
            from = next;
        }
    }
}

impl State {
    /// The next events that an erasure is about, and where to go on.
    pub(super) fn erasable(
        &self,
        tenant: &TenantId,
        what: Erasure,
        from: Option<Place>,
    ) -> Result<(Vec<EventId>, Option<Place>)> {
        let mut events = Vec::new();
        let mut walk = match what {
            Erasure::Event(id) => {
                let row = self.event_row(tenant, id)?;
                row.ok_or(Error::NotFound(Resource::Event(id)))?;
                return Ok((vec![id], None));
            }
            Erasure::Accepted(range) => Walk::new(self, tenant, range, from)?,
            Erasure::Subscription(id) => {
                let filter = DeliveryFilter {
                    subscription_id: Some(id),
                    ..DeliveryFilter::default()
                };
                Walk::filtered(self, tenant, &filter, from)?
            }
        };
        while events.len() < EVENTS && !walk.is_spent() {
            let next = match what {
                Erasure::Subscription(_) => {
                    let row = walk.next_delivery()?;
                    row.map(|row| row.delivery.id.event_id())
                }
                Erasure::Event(_) | Erasure::Accepted(_) => {
                    walk.next_event()?.map(|row| row.event.id)
                }
            };
            let Some(id) = next else {
                return Ok((events, walk.rest()));
            };
            events.push(id);
        }
        Ok((events, walk.place()))
    }
}

impl Committer {
    /// Erases events, all of them or none.
    pub(super) fn erase(&mut self, call: &Erasing) -> Result<Erased> {
        let state = Arc::clone(&self.state);
        let mut taking = Taking {
            state: &state,
            call,
            group: Group::new(&state, self.last_position),
            days: BTreeSet::new(),
            erased: Erased::default(),
        };
        for id in &call.events {
            taking.event(*id)?;
        }
        let Taking {
            group,
            days,
            erased,
            ..
        } = taking;
        self.note_rewrites(days)?;
        self.commit(group, &[])?;
        // What followers of the log are shown from memory was not erased.
        state.tail.restart(self.last_position);
        Ok(erased)
    }
}

/// What is taken out by one write.
struct Taking<'a> {
    state: &'a State,
    call: &'a Erasing,
    group: Group<'a>,
    days: BTreeSet<Day>,
    erased: Erased,
}

impl Taking<'_> {
    fn event(&mut self, id: EventId) -> Result<()> {
        let day = Day::of_event(id);
        let partition = self.state.days.get(day)?;
        let row = self.state.event_row(&self.call.tenant, id)?;
        let (Some(partition), Some(row)) = (partition, row) else {
            return Ok(());
        };
        if row.event.is_erased() {
            return Ok(());
        }
        let reach = self.call.what.reach(&row.subscriptions);
        match reach {
            Reach::Whole => {
                self.erased.events += 1;
                self.payload(day, &*partition, &row)?;
            }
            Reach::Attempts(_) => self.erased.shared += 1,
        }
        for (id, subscription) in id.deliveries(&row.subscriptions) {
            if matches!(reach, Reach::Attempts(only) if only != subscription) {
                continue;
            }
            let Some(mut delivery) = self.group.delivery(subscription, id)? else {
                continue;
            };
            for position in &delivery.attempts {
                self.attempt(day, &*partition, *position)?;
            }
            let was_due = delivery.delivery.due;
            if reach == Reach::Whole
                && let Ok(cancelled) = delivery.delivery.cancelled(self.call.now)
            {
                self.erased.cancelled += 1;
                delivery.delivery = cancelled;
                self.group.reschedule(was_due, delivery);
            }
        }
        Ok(())
    }

    fn payload(&mut self, day: Day, partition: &dyn Partition, row: &EventRow) -> Result<()> {
        let event = &row.event;
        let mut batch = Batch::default();
        piece::remove(partition, &mut batch, key::event(&event.tenant, event.id))?;
        piece::remove(partition, &mut batch, key::body(event.id))?;
        let erased = event.clone().erased(self.call.now);
        put_event(&mut batch, &erased, &row.subscriptions);
        self.take(day, batch);
        Ok(())
    }

    fn attempt(
        &mut self,
        day: Day,
        partition: &dyn Partition,
        position: LogPosition,
    ) -> Result<()> {
        let key = key::attempt(position);
        let Some(row) = piece::get(partition, &key)? else {
            return Ok(());
        };
        let malformed = |_| piece::malformed(&key);
        let attempt = read_attempt(&row).map_err(malformed)?.erased();
        let erased = match read_recorded(&row).map_err(malformed)? {
            Some(recorded) => write_recorded(&attempt, recorded),
            None => write_attempt(&attempt),
        };
        if erased != row {
            let mut batch = Batch::default();
            piece::remove(partition, &mut batch, key.clone())?;
            piece::put(&mut batch, key.clone(), &erased);
            self.take(day, batch);
            self.erased.attempts += 1;
        }
        Ok(())
    }

    fn take(&mut self, day: Day, batch: Batch) {
        self.group.batch(day).append(batch);
        self.days.insert(day);
    }
}
