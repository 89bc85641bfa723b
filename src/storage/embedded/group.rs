//! Writes of many calls that become durable together. Later calls of a group
//! see what earlier ones wrote.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    accept::Accepting,
    day::{Day, from_kv},
    key,
    kv::Batch,
    piece,
    row::{DeliveryRow, IdempotencyRow, write_attempt},
    state::State,
    tally::Tally,
};
use crate::{
    domain::{
        Attempt, Delivery, DeliveryId, LastOutcome, NotChangeable, SubscriptionId, TenantId,
        Timestamp,
    },
    storage::{
        Accepted, AttemptRecord, DeliveryChange, DueKey, Error, Hint, LogPosition, Rescheduled,
        Resource, Result,
        idempotency::{self, Keyed, REMEMBERED},
        stats::Counted,
    },
};

/// How long an idempotency key is remembered, in days.
pub(super) const REMEMBERED_DAYS: u64 = REMEMBERED.as_secs() / 86_400;

/// What a group writes and what it tells once that is durable.
pub(super) struct Group<'a> {
    pub(super) state: &'a State,
    now: Timestamp,
    last_position: LogPosition,
    batches: BTreeMap<Day, Batch>,
    tallies: BTreeMap<Day, Tally>,
    counted: BTreeMap<Day, Counted>,
    deliveries: HashMap<DeliveryId, DeliveryRow>,
    idempotency: HashMap<Vec<u8>, IdempotencyRow>,
    hint: Hint,
    attempts: Vec<(LogPosition, Arc<Attempt>)>,
}

/// What a group comes to.
pub(super) struct Written {
    pub(super) batches: BTreeMap<Day, Batch>,
    /// What is new in each day.
    pub(super) tallies: BTreeMap<Day, Tally>,
    pub(super) counted: BTreeMap<Day, Counted>,
    pub(super) hint: Hint,
    pub(super) attempts: Vec<(LogPosition, Arc<Attempt>)>,
}

impl<'a> Group<'a> {
    /// An empty group, whose attempts come after `last_position`.
    pub(super) fn new(state: &'a State, last_position: LogPosition) -> Self {
        Self {
            state,
            now: state.clock.now(),
            last_position,
            batches: BTreeMap::new(),
            tallies: BTreeMap::new(),
            counted: BTreeMap::new(),
            deliveries: HashMap::new(),
            idempotency: HashMap::new(),
            hint: Hint::default(),
            attempts: Vec::new(),
        }
    }

    /// About how many bytes it writes so far.
    pub(super) fn size(&self) -> u64 {
        self.batches.values().map(Batch::size).sum()
    }

    pub(super) fn finish(self) -> Written {
        Written {
            batches: self.batches,
            tallies: self.tallies,
            counted: self.counted,
            hint: self.hint,
            attempts: self.attempts,
        }
    }

    /// Takes in the events of a call, or none if it is refused.
    pub(super) fn accept(&mut self, call: Accepting) -> Result<Vec<Accepted>> {
        let current = self.state.subscriptions.read().version(&call.tenant);
        if call.routed_at.is_some_and(|version| version != current) {
            return Err(Error::StaleSubscriptions);
        }
        let answers = self.answers(&call)?;
        let batch = self.batches.entry(call.day).or_default();
        let tally = self.tallies.entry(call.day).or_default();
        for (event, answer) in call.events.into_iter().zip(&answers) {
            if answer.duplicate {
                continue;
            }
            batch.append(event.writes);
            tally.events += 1;
            if let Some((key, row)) = event.idempotency {
                self.idempotency.insert(key, row);
            }
            let deliveries = event.event.id.deliveries(&event.subscriptions).collect();
            self.hint.add(event.event, deliveries, event.trigger);
        }
        Ok(answers)
    }

    /// Tells new events of a call from duplicates.
    fn answers(&self, call: &Accepting) -> Result<Vec<Accepted>> {
        let events = call.events.iter().map(|event| Keyed {
            event_id: event.event.id,
            delivery_count: event.delivery_count(),
            key: event.idempotency.as_ref().map(|(key, row)| (key, row)),
        });
        idempotency::answers(events, |key, forgotten| {
            self.used_before(key, call.day, forgotten)
        })
    }

    /// Who used an idempotency key since a time. Keys of later days count too:
    /// a clock may have been set back.
    fn used_before(
        &self,
        key: &[u8],
        day: Day,
        forgotten: Timestamp,
    ) -> Result<Option<IdempotencyRow>> {
        if let Some(row) = self.idempotency.get(key) {
            return Ok(Some(*row));
        }
        let oldest = day.before(REMEMBERED_DAYS);
        for day in self.state.days.all()?.into_iter().rev() {
            if day < oldest {
                break;
            }
            let Some(partition) = self.state.days.get(day)? else {
                continue;
            };
            let Some(row) = partition.get(key).map_err(from_kv)? else {
                continue;
            };
            let row = IdempotencyRow::read(&row).map_err(|_| piece::malformed(key))?;
            if row.first.time() >= forgotten {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Logs an attempt and moves its delivery on. An attempt whose delivery is
    /// gone, or makes no sense, is dropped.
    pub(super) fn record(&mut self, record: AttemptRecord) -> Result<()> {
        let mut attempt = record.attempt;
        let id = attempt.delivery_id;
        let mut row = match self.delivery(attempt.subscription_id, id) {
            Ok(Some(row)) => row,
            Ok(None) => {
                tracing::info!(delivery = %id, "attempt of a removed delivery dropped");
                return Ok(());
            }
            Err(error @ Error::Corrupt(_)) => {
                tracing::error!(delivery = %id, %error, "attempt of an unreadable delivery dropped");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let last = LastOutcome {
            error_kind: attempt.error_kind,
            response_status: attempt.response_status,
        };
        let before = row.delivery;
        row.delivery = if before.revision == record.revision {
            before.attempted(last, record.next, record.now)
        } else {
            let late = before.attempted_late(last, record.now);
            attempt.next_attempt_time = late.due;
            // Its event may be erased by now, which cancelled the delivery.
            if self.is_erased(&row.tenant, id) {
                attempt = attempt.erased();
            }
            late
        };
        let position = LogPosition((self.last_position.0 + 1).max(self.now.as_micros()));
        self.last_position = position;
        row.attempts.push(position);
        let batch = self.batches.entry(Day::of_delivery(id)).or_default();
        piece::put(batch, key::attempt(position), &write_attempt(&attempt));
        self.count(&attempt, 1);
        self.attempts.push((position, Arc::new(attempt)));
        self.put_delivery(before.due, row);
        Ok(())
    }

    fn is_erased(&self, tenant: &TenantId, id: DeliveryId) -> bool {
        let row = self.state.event_row(tenant, id.event_id());
        row.is_ok_and(|row| row.is_some_and(|row| row.event.is_erased()))
    }

    /// Changes a delivery by hand.
    pub(super) fn change(
        &mut self,
        tenant: &TenantId,
        id: DeliveryId,
        change: DeliveryChange,
        now: Timestamp,
    ) -> Result<Delivery> {
        let subscription = self.state.subscription_of(tenant, id)?;
        let gone = Error::NotFound(Resource::Delivery(id));
        let mut row = self.delivery(subscription, id)?.ok_or(gone)?;
        let before = self.state.shown(row.delivery.clone());
        if change == DeliveryChange::Retry {
            let subscriptions = self.state.subscriptions.read();
            if subscriptions.find(subscription).is_none() {
                return Err(Error::NotFound(Resource::Subscription(subscription)));
            }
            if self.is_erased(tenant, id) {
                return Err(NotChangeable::PayloadErased.into());
            }
        }
        let due = row.delivery.due;
        row.delivery = match change {
            DeliveryChange::Retry => before.retried(now)?,
            DeliveryChange::Cancel => before.cancelled(now)?,
        };
        let changed = row.delivery.clone();
        self.reschedule(due, row);
        Ok(changed)
    }

    /// Writes a delivery that was changed by hand, and tells of it.
    pub(super) fn reschedule(&mut self, was_due: Option<Timestamp>, row: DeliveryRow) {
        self.hint.rescheduled.push(Rescheduled {
            delivery_id: row.delivery.id,
            subscription_id: row.delivery.subscription_id,
            trigger: row.delivery.trigger,
            due: row.delivery.due,
        });
        self.put_delivery(was_due, row);
    }

    /// Cancels a waiting delivery that stands at this place of its queue.
    pub(super) fn cancel_waiting(
        &mut self,
        subscription: SubscriptionId,
        place: DueKey,
        now: Timestamp,
    ) {
        let id = place.delivery_id;
        let cancelled = match self.delivery(subscription, id) {
            Ok(Some(mut row)) if row.delivery.due == Some(place.due) => {
                row.delivery.cancelled(now).ok().map(|delivery| {
                    row.delivery = delivery;
                    row
                })
            }
            Ok(_) => None,
            Err(error) => {
                tracing::error!(delivery = %id, %error, "unreadable delivery left out of its queue");
                None
            }
        };
        match cancelled {
            Some(row) => self.put_delivery(Some(place.due), row),
            // A place in the queue that no delivery knows of.
            None => self
                .batches
                .entry(Day::of_delivery(id))
                .or_default()
                .remove(key::due(subscription, place)),
        }
    }

    pub(super) fn state(&self) -> &'a State {
        self.state
    }

    /// What is written to a day.
    pub(super) fn batch(&mut self, day: Day) -> &mut Batch {
        self.batches.entry(day).or_default()
    }

    /// What is counted of a day.
    pub(super) fn tally(&mut self, day: Day) -> &mut Tally {
        self.tallies.entry(day).or_default()
    }

    /// Counts an attempt, or one less if `by` is -1.
    pub(super) fn count(&mut self, attempt: &Attempt, by: i64) {
        let day = Day::of_delivery(attempt.delivery_id);
        self.tally(day).attempts += by;
        self.counted.entry(day).or_default().count(attempt, by);
    }

    /// A delivery as this group leaves it.
    pub(super) fn delivery(
        &self,
        subscription: SubscriptionId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>> {
        match self.deliveries.get(&id) {
            Some(row) => Ok(Some(row.clone())),
            None => self.state.delivery_row(subscription, id),
        }
    }

    /// Writes a delivery, and moves it from where it was due to where it is.
    pub(super) fn put_delivery(&mut self, was_due: Option<Timestamp>, row: DeliveryRow) {
        let (id, subscription) = (row.delivery.id, row.delivery.subscription_id);
        let place = |due| {
            let place = DueKey {
                due,
                delivery_id: id,
            };
            key::due(subscription, place)
        };
        let batch = self.batches.entry(Day::of_delivery(id)).or_default();
        if was_due != row.delivery.due {
            if let Some(due) = was_due {
                batch.remove(place(due));
            }
            if let Some(due) = row.delivery.due {
                batch.put(place(due), Vec::new());
            }
        }
        if let Some(ordering_key) = &row.delivery.ordering_key {
            let order = key::order(subscription, ordering_key, id);
            match (was_due, row.delivery.due) {
                (None, Some(_)) => batch.put(order, Vec::new()),
                (Some(_), None) => batch.remove(order),
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
        batch.put(key::delivery(subscription, id), row.write());
        self.deliveries.insert(id, row);
    }
}
