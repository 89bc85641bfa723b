//! Restores what an export of any engine read: the same rows as if it had
//! happened here, one durable batch for the catalog and for each day.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    accept::put_event,
    committer::Committer,
    day::{Day, from_kv},
    group::Group,
    key,
    kv::Batch,
    piece,
    retain::Gone,
    row::{
        DeliveryRow, write_api_key, write_attempt, write_copying, write_recorded, write_replay,
        write_request, write_subscription,
    },
    untimed::{self, Untimed},
};
use crate::{
    domain::{Attempt, Delivery, Keyring, Subscription, TenantId, Timestamp},
    storage::{Copying, LogPosition, Result, Stored},
};

/// What records come to.
struct Importing<'a> {
    keyring: &'a Keyring,
    group: Group<'a>,
    subscriptions: Vec<Arc<Subscription>>,
    /// Rows of the catalog, by key: what is there of each has to go first.
    catalog: BTreeMap<Vec<u8>, Vec<u8>>,
    gone: Gone,
    untimed: Untimed,
    last: LogPosition,
}

impl Committer {
    /// See [`crate::storage::Transfer::import`]. The catalog comes first: what
    /// it says of the days is then never less than what is in them.
    pub(super) fn import(&mut self, records: Vec<Stored>) -> Result<()> {
        self.check_health()?;
        let state = Arc::clone(&self.state);
        let (gone, untimed) = (*state.gone.lock(), *state.untimed.lock());
        let mut importing = Importing {
            keyring: &state.keyring,
            group: Group::new(&state, self.last_position),
            subscriptions: Vec::new(),
            catalog: BTreeMap::new(),
            gone,
            untimed,
            last: self.last_position,
        };
        for record in records {
            importing.add(record)?;
        }
        let mut batch = Batch::default();
        for (key, row) in &importing.catalog {
            piece::remove(&*self.catalog, &mut batch, key.clone())?;
            piece::put(&mut batch, key.clone(), row);
        }
        if importing.gone != gone {
            importing.gone.write(&mut batch);
        }
        if importing.untimed != untimed {
            importing.untimed.write(&mut batch);
        }
        state.admit(batch.size() + importing.group.size())?;
        if !batch.is_empty() {
            self.commit_catalog(batch)?;
        }
        *state.gone.lock() = importing.gone;
        *state.untimed.lock() = importing.untimed;
        let mut subscriptions = state.subscriptions.write();
        for subscription in importing.subscriptions {
            subscriptions.put(subscription);
        }
        drop(subscriptions);
        self.commit(importing.group, &[])?;
        if importing.last > self.last_position {
            self.last_position = importing.last;
            state.log_end.send_replace(importing.last);
        }
        // Days may come one after the other, and then so do their attempts.
        state.tail.restart(self.last_position);
        Ok(())
    }

    /// See [`crate::storage::Transfer::note_copy`].
    pub(super) fn note_copy(&mut self, copy: Option<Copying>) -> Result<()> {
        let key = key::copying();
        let mut batch = Batch::default();
        piece::remove(&*self.catalog, &mut batch, key.clone())?;
        if let Some(copy) = &copy {
            piece::put(&mut batch, key, &write_copying(copy));
        }
        self.commit_catalog(batch)?;
        *self.state.copying.lock() = copy;
        Ok(())
    }
}

impl Importing<'_> {
    fn add(&mut self, record: Stored) -> Result<()> {
        match record {
            Stored::Subscription(subscription) => {
                let key = key::subscription(&subscription.tenant, subscription.id);
                self.catalog
                    .insert(key, write_subscription(&subscription, self.keyring));
                self.subscriptions.push(subscription);
            }
            Stored::Request { id, created } => {
                let key = key::request(&created.tenant, &id);
                self.catalog
                    .insert(key, write_request(&created, self.keyring));
            }
            Stored::Replay(replay) => {
                let key = key::replay(&replay.tenant, replay.id);
                self.catalog.insert(key, write_replay(&replay));
            }
            Stored::ApiKey(found) => {
                self.catalog
                    .insert(key::api_key(found.id), write_api_key(&found));
            }
            Stored::Removed { before, last } => {
                self.gone = self.gone.and(before, last);
                self.last = self.last.max(last);
            }
            Stored::Event {
                event,
                subscriptions,
            } => {
                let day = Day::of_event(event.id);
                if self.is_new(day, &key::event(&event.tenant, event.id))? {
                    self.group.tally(day).events += 1;
                }
                put_event(self.group.batch(day), &event, &subscriptions);
            }
            Stored::Delivery { tenant, delivery } => self.add_delivery(tenant, delivery)?,
            Stored::Attempt {
                position,
                recorded,
                attempt,
            } => self.add_attempt(position, recorded, &attempt)?,
        }
        Ok(())
    }

    /// A delivery that was imported before keeps what is known of its attempts.
    fn add_delivery(&mut self, tenant: TenantId, delivery: Delivery) -> Result<()> {
        let before = self.group.delivery(delivery.subscription_id, delivery.id)?;
        let was_due = before.as_ref().and_then(|row| row.delivery.due);
        let row = DeliveryRow {
            tenant,
            delivery,
            attempts: before.map(|row| row.attempts).unwrap_or_default(),
        };
        self.group.put_delivery(was_due, row);
        Ok(())
    }

    fn add_attempt(
        &mut self,
        position: LogPosition,
        recorded: Timestamp,
        attempt: &Attempt,
    ) -> Result<()> {
        let row = if untimed::is_time(position, recorded) {
            write_attempt(attempt)
        } else {
            self.untimed = self.untimed.with(position, recorded);
            write_recorded(attempt, recorded)
        };
        let id = attempt.delivery_id;
        let (day, key) = (Day::of_delivery(id), key::attempt(position));
        if self.is_new(day, &key)? {
            self.group.count(attempt, 1);
        }
        piece::put(self.group.batch(day), key, &row);
        self.last = self.last.max(position);
        let Some(mut row) = self.group.delivery(attempt.subscription_id, id)? else {
            return Ok(());
        };
        if let Err(place) = row.attempts.binary_search(&position) {
            row.attempts.insert(place, position);
            let due = row.delivery.due;
            self.group.put_delivery(due, row);
        }
        Ok(())
    }

    /// Whether the day has no such row from an earlier import.
    fn is_new(&self, day: Day, key: &[u8]) -> Result<bool> {
        let Some(partition) = self.group.state.days.get(day)? else {
            return Ok(true);
        };
        Ok(partition.get(key).map_err(from_kv)?.is_none())
    }
}
