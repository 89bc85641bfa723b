//! The partition of a day: whether its rows read, and whether they agree with
//! each other. One pass over all rows, each with those that it depends on.

mod queue;

use std::ops::Bound;

use bytes::Bytes;

use super::{Report, catalog::Notes};
use crate::{
    domain::{DeliveryId, EventId, SubscriptionId, TenantId},
    storage::{
        DueKey, Result, Totals,
        embedded::{
            day::{Day, from_kv},
            key::{self, Tag},
            kv::{Order, Partition, Step},
            piece, rest,
            row::{DeliveryRow, EventRow, IdempotencyRow, read_attempt, read_counts},
            tally::Tally,
        },
        stats::Counted,
    },
};

/// A day that is looked at.
pub(super) struct DayAudit<'a> {
    day: Day,
    partition: &'a dyn Partition,
    notes: &'a Notes,
    report: &'a mut Report,
    /// Rows that others name and that are there.
    named: Named,
    bodies: u64,
    /// What is counted of attempts, and what there is of them.
    counted: Counted,
    attempts: Counted,
}

/// How many rows of a kind a key leads to.
#[derive(Default)]
struct Named {
    bodies: u64,
    deliveries: u64,
    due: u64,
}

impl<'a> DayAudit<'a> {
    pub(super) fn new(
        day: Day,
        partition: &'a dyn Partition,
        notes: &'a Notes,
        report: &'a mut Report,
    ) -> Self {
        Self {
            day,
            partition,
            notes,
            report,
            named: Named::default(),
            bodies: 0,
            counted: Counted::default(),
            attempts: Counted::default(),
        }
    }

    /// Looks at every row; fails where the partition cannot be read on.
    pub(super) fn run(mut self) -> Result<()> {
        let before = *self.totals();
        let whole = (Bound::Unbounded, Bound::Unbounded);
        let partition = self.partition;
        let visit = &mut |key: &[u8], row: &[u8]| {
            if self.row(key, row).is_none() {
                self.report.malformed(key);
            }
            Step::Continue(())
        };
        partition
            .scan(whole, Order::Forwards, visit)
            .map_err(from_kv)?;
        if self.bodies > self.named.bodies {
            let lost = self.bodies - self.named.bodies;
            self.find(format!("{lost} payloads belong to no event"));
        }
        if let Some(witness) = self.notes.witnesses.get(&self.day) {
            for what in witness.missing_in(partition)? {
                self.find(format!("has lost {what}, and perhaps more"));
            }
        }
        self.tally(before)?;
        self.reach(before);
        if let Some(what) = self.counted.difference(&self.attempts) {
            self.find(what);
        }
        if let Some(noted) = self.notes.resting.get(&self.day) {
            let last = rest::last_attempt(partition)?;
            if last != *noted {
                self.find(format!(
                    "is at rest with the last attempt at {}, and has one at {}",
                    noted.0, last.0
                ));
            }
        }
        Ok(())
    }

    /// Holds what there is to what was written; `before` is of other days.
    fn tally(&mut self, before: Totals) -> Result<()> {
        let written = Tally::read(self.partition)?;
        let found = *self.totals();
        for (name, found, written) in [
            ("events", found.events - before.events, written.events),
            (
                "attempts",
                found.attempts - before.attempts,
                written.attempts,
            ),
        ] {
            if i64::try_from(found) != Ok(written) {
                self.find(format!("holds {found} {name}, and {written} were written"));
            }
        }
        Ok(())
    }

    /// Holds what a scan passes to what keys lead to: behind a hole in its log,
    /// sled may have rows that no scan passes. `before` is of other days.
    fn reach(&mut self, before: Totals) {
        let passed = *self.totals();
        for (name, passed, named) in [
            ("payloads", self.bodies, self.named.bodies),
            (
                "deliveries",
                passed.deliveries - before.deliveries,
                self.named.deliveries,
            ),
            ("due deliveries", passed.due - before.due, self.named.due),
        ] {
            if passed < named {
                self.find(format!("has {named} {name}, and a scan passes {passed}"));
            }
        }
    }

    fn find(&mut self, what: String) {
        self.report.find(what);
    }

    fn totals(&mut self) -> &mut Totals {
        &mut self.report.checked.totals
    }

    /// Looks at a row; `None` if it makes no sense.
    fn row(&mut self, key: &[u8], first: &[u8]) -> Option<()> {
        match key::tag_of(key)? {
            Tag::Event => self.event(key, first),
            Tag::Body => {
                self.bodies += 1;
                piece::join(self.partition, key, first).ok()?;
                Some(())
            }
            Tag::Delivery => self.delivery(key, first),
            Tag::Due => self.place(key, first),
            Tag::Order => self.order(key, first),
            Tag::Attempt => self.attempt(key, first),
            Tag::Idempotency => self.idempotency(key, first),
            // What they count is held to the rest at the end, and to the file
            // beside it when the partition is opened.
            Tag::Tally | Tag::Commits => Some(()),
            Tag::Stats => {
                let (tenant, key) = key::stats_key_of(key)?;
                self.counted.merge(tenant, key, &read_counts(first).ok()?);
                Some(())
            }
            Tag::Piece => piece::has_owner(self.partition, key).ok()?.then_some(()),
            _ => None,
        }
    }

    fn event(&mut self, key: &[u8], first: &[u8]) -> Option<()> {
        self.totals().events += 1;
        let (tenant, id) = key::named_of(key)?;
        let id = EventId::from_bytes(id.try_into().ok()?);
        let row = piece::join(self.partition, key, first).ok()?;
        let row = EventRow::read(tenant, id, &row).ok()?;
        self.totals().erased += u64::from(row.event.is_erased());
        if Day::of_event(id) != self.day {
            self.find(format!("event {id} is of another day"));
        }
        if row.apart {
            self.body(row.clone());
        }
        if let Some(name) = &row.event.idempotency_key
            && !self.has(&key::idempotency(&row.event.tenant, name))
        {
            self.find(format!("the idempotency key of event {id} is not known"));
        }
        for (ordinal, subscription) in (0..=u16::MAX).zip(&row.subscriptions) {
            let delivery = DeliveryId::new(id, ordinal);
            if self.has(&key::delivery(*subscription, delivery)) {
                self.named.deliveries += 1;
            } else {
                self.find(format!("delivery {delivery} is missing"));
            }
        }
        Some(())
    }

    /// Looks for what stands apart of an event. What cannot be read is found
    /// where it stands.
    fn body(&mut self, row: EventRow) {
        let id = row.event.id;
        if let Ok(body) = piece::get(self.partition, &key::body(id)) {
            if body.is_none() {
                return self.find(format!("event {id} has lost its payload"));
            }
            if row.whole(body.map(Bytes::from)).is_err() {
                self.find(format!("event {id} has a changed payload"));
            }
        }
        self.named.bodies += 1;
    }

    fn delivery(&mut self, key: &[u8], row: &[u8]) -> Option<()> {
        self.totals().deliveries += 1;
        let (subscription, id) = key.get(1..)?.split_first_chunk()?;
        let subscription = SubscriptionId::from_bytes(*subscription);
        let id = DeliveryId::from_bytes(id.try_into().ok()?);
        let row = DeliveryRow::read(subscription, id, row).ok()?;
        match self.event_row(&row.tenant, id.event_id()) {
            Err(Unreadable) => {}
            Ok(None) => self.find(format!("delivery {id} has no event")),
            Ok(Some(event)) => {
                let goes_to = event.subscriptions.get(usize::from(id.ordinal()));
                if goes_to != Some(&subscription) {
                    self.find(format!(
                        "delivery {id} goes to {subscription}, and its event does not"
                    ));
                }
            }
        }
        match row.delivery.due {
            Some(_) if row.delivery.state.is_settled() => {
                self.find(format!("delivery {id} is settled and due"));
            }
            None if !row.delivery.state.is_settled() => {
                self.find(format!("delivery {id} is neither settled nor due"));
            }
            Some(due) => {
                let place = DueKey {
                    due,
                    delivery_id: id,
                };
                if self.has(&key::due(subscription, place)) {
                    self.named.due += 1;
                } else {
                    self.find(format!(
                        "delivery {id} is due at {due} and stands in no queue"
                    ));
                }
                if let Some(ordering_key) = &row.delivery.ordering_key
                    && !self.has(&key::order(subscription, ordering_key, id))
                {
                    self.find(format!("delivery {id} is due and stands in no order"));
                }
            }
            None => {}
        }
        self.attempts_of(id, &row);
        Some(())
    }

    fn attempts_of(&mut self, id: DeliveryId, row: &DeliveryRow) {
        let (listed, counted) = (row.attempts.len(), row.delivery.attempt_count);
        if u32::try_from(listed) != Ok(counted) {
            self.find(format!(
                "delivery {id} counts {counted} attempts and lists {listed}"
            ));
        }
        if !row.attempts.is_sorted_by(|left, right| left < right) {
            self.find(format!("delivery {id} lists its attempts in no order"));
        }
        for position in &row.attempts {
            let key = key::attempt(*position);
            match piece::get(self.partition, &key) {
                Ok(None) => self.find(format!(
                    "delivery {id} has lost its attempt at {}",
                    position.0
                )),
                Ok(Some(row)) => {
                    // One that does not read is found where it stands.
                    let of = read_attempt(&row).ok().map(|found| found.delivery_id);
                    if of.is_some_and(|of| of != id) {
                        self.find(format!(
                            "delivery {id} lists the attempt at {}, which is of another one",
                            position.0
                        ));
                    }
                }
                Err(_) => {}
            }
        }
    }

    fn attempt(&mut self, key: &[u8], first: &[u8]) -> Option<()> {
        self.totals().attempts += 1;
        let position = key::position_of(key)?;
        let row = piece::join(self.partition, key, first).ok()?;
        let attempt = read_attempt(&row).ok()?;
        self.attempts.count(&attempt, 1);
        let id = attempt.delivery_id;
        match self.delivery_row(attempt.subscription_id, id) {
            Ok(None) => self.find(format!(
                "the attempt at {} has lost its delivery {id}",
                position.0
            )),
            Ok(Some(row)) if !row.attempts.contains(&position) => self.find(format!(
                "the attempt at {} is not listed by its delivery {id}",
                position.0
            )),
            Ok(Some(row)) if row.tenant != attempt.tenant => self.find(format!(
                "the attempt at {} is of another tenant than its delivery {id}",
                position.0
            )),
            Ok(Some(_)) | Err(Unreadable) => {}
        }
        Some(())
    }

    fn idempotency(&mut self, key: &[u8], row: &[u8]) -> Option<()> {
        self.totals().idempotency_keys += 1;
        let (tenant, name) = key::named_of(key)?;
        let name = std::str::from_utf8(name).ok()?;
        let row = IdempotencyRow::read(row).ok()?;
        let id = row.first;
        let found = match self.event_row(&tenant, id) {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.find(format!(
                    "an idempotency key names event {id}, which is missing"
                ));
                return Some(());
            }
            Err(Unreadable) => return Some(()),
        };
        let deliveries = found.subscriptions.len();
        let body = if found.apart {
            piece::get(self.partition, &key::body(id)).ok().flatten()
        } else {
            None
        };
        // A payload that is lost or changed is found with its event.
        let Ok(event) = found.whole(body.map(Bytes::from)) else {
            return Some(());
        };
        let of_event = IdempotencyRow {
            delivery_count: row.delivery_count,
            ..IdempotencyRow::of(&event, 0)
        };
        let same = event.idempotency_key.as_deref() == Some(name)
            && of_event == row
            // Replays add to those that it had.
            && u32::try_from(deliveries).is_ok_and(|now| now >= row.delivery_count);
        if !same {
            self.find(format!(
                "an idempotency key names event {id}, which is another"
            ));
        }
        Some(())
    }

    /// Whether there is such a row. One that cannot be read is there.
    fn has(&self, key: &[u8]) -> bool {
        !matches!(self.partition.get(key), Ok(None))
    }

    fn event_row(&self, tenant: &TenantId, id: EventId) -> Result<Option<EventRow>, Unreadable> {
        let row = piece::get(self.partition, &key::event(tenant, id));
        let row = row.map_err(|_| Unreadable)?;
        row.map(|row| EventRow::read(tenant.clone(), id, &row))
            .transpose()
            .map_err(|_| Unreadable)
    }

    fn delivery_row(
        &self,
        subscription: SubscriptionId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>, Unreadable> {
        let row = self.partition.get(&key::delivery(subscription, id));
        let row = row.map_err(|_| Unreadable)?;
        row.map(|row| DeliveryRow::read(subscription, id, &row))
            .transpose()
            .map_err(|_| Unreadable)
    }
}

/// Another row cannot be read, which is found where that one stands.
struct Unreadable;
