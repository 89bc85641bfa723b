//! Imported records as rows, by table and day, column by column. Of two records
//! of one thing the later one counts, since no statement takes a row twice.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    api_key::{self, from_key},
    replay::from_replay,
    row::{from_count, from_delivery, from_event, from_subscription, from_time},
    tail::from_position,
};
use crate::{
    domain::{
        ApiKey, Attempt, Delivery, Event, Keyring, Replay, ReplayState, Subscription,
        SubscriptionId, TenantId, Timestamp,
    },
    storage::{
        LogPosition, Stored,
        day::Day,
        row::{
            EventRow, INLINE, IdempotencyRow, code, write_api_key, write_attempt, write_replay,
            write_request, write_subscription,
        },
        stats::Counted,
    },
};

/// What records come to.
#[derive(Default)]
pub(super) struct Rows<'a> {
    subscriptions: BTreeMap<Uuid, &'a Subscription>,
    requests: BTreeMap<(&'a str, &'a str), &'a Subscription>,
    replays: BTreeMap<Uuid, &'a Replay>,
    api_keys: BTreeMap<Uuid, &'a ApiKey>,
    /// See [`Stored::Removed`].
    pub(super) removed: Option<(Timestamp, LogPosition)>,
    pub(super) days: BTreeMap<Day, DayRows<'a>>,
    /// The last position of the log.
    pub(super) last: LogPosition,
}

/// Columns of rows, in the order of a statement's parameters.
pub(super) struct Columns<'a>(Vec<Box<dyn ToSql + Sync + Send + 'a>>);

/// What belongs to a day.
#[derive(Default)]
pub(super) struct DayRows<'a> {
    events: BTreeMap<Uuid, (&'a Event, &'a [SubscriptionId])>,
    deliveries: BTreeMap<Uuid, (&'a TenantId, &'a Delivery)>,
    attempts: BTreeMap<i64, (Timestamp, &'a Attempt)>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(records: &'a [Stored]) -> Self {
        let mut rows = Self::default();
        for record in records {
            rows.add(record);
        }
        rows
    }

    /// Columns of the subscriptions.
    pub(super) fn subscriptions(&self, keyring: &Keyring) -> Columns<'_> {
        let all = || self.subscriptions.values();
        let version = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
        Columns(vec![
            column(self.subscriptions.keys().copied()),
            column(all().map(|subscription| subscription.tenant.as_str())),
            column(all().map(|subscription| version(subscription.version.0))),
            column(all().map(|subscription| write_subscription(subscription, keyring))),
        ])
    }

    /// The tenants of the subscriptions.
    pub(super) fn tenants(&self) -> Vec<&str> {
        let all = self.subscriptions.values();
        let tenants: BTreeSet<_> = all
            .map(|subscription| subscription.tenant.as_str())
            .collect();
        tenants.into_iter().collect()
    }

    /// Columns of the requests that are remembered.
    pub(super) fn requests(&self, keyring: &Keyring) -> Columns<'_> {
        let names = || self.requests.keys();
        let all = || self.requests.values();
        Columns(vec![
            column(names().map(|(tenant, _)| *tenant)),
            column(names().map(|(_, name)| name.as_bytes())),
            column(all().map(|created| from_time(created.create_time))),
            column(all().map(|created| write_request(created, keyring))),
        ])
    }

    /// Columns of the replays.
    pub(super) fn replays(&self) -> Columns<'_> {
        let all = || self.replays.values();
        Columns(vec![
            column(self.replays.keys().copied()),
            column(all().map(|replay| replay.tenant.as_str())),
            column(all().map(|replay| replay.state == ReplayState::Running)),
            column(all().map(|replay| write_replay(replay))),
        ])
    }

    /// Columns of the API keys.
    pub(super) fn api_keys(&self) -> Columns<'_> {
        let all = || self.api_keys.values();
        Columns(vec![
            column(self.api_keys.keys().copied()),
            column(all().map(|key| api_key::tenant(&key.spec.holder))),
            column(all().map(|key| write_api_key(key))),
        ])
    }

    fn add(&mut self, record: &'a Stored) {
        match record {
            Stored::Subscription(subscription) => {
                let id = from_subscription(subscription.id);
                self.subscriptions.insert(id, subscription);
            }
            Stored::Request { id, created } => {
                self.requests.insert((created.tenant.as_str(), id), created);
            }
            Stored::Replay(replay) => {
                self.replays.insert(from_replay(replay.id), replay);
            }
            Stored::ApiKey(found) => {
                self.api_keys.insert(from_key(found.id), found);
            }
            Stored::Removed { before, last } => {
                self.removed = Some((*before, *last));
                self.last = self.last.max(*last);
            }
            Stored::Event {
                event,
                subscriptions,
            } => {
                let day = self.days.entry(Day::of_event(event.id)).or_default();
                day.events
                    .insert(from_event(event.id), (event, subscriptions));
            }
            Stored::Delivery { tenant, delivery } => {
                let day = self.days.entry(Day::of_delivery(delivery.id)).or_default();
                day.deliveries
                    .insert(from_delivery(delivery.id), (tenant, delivery));
            }
            Stored::Attempt {
                position,
                recorded,
                attempt,
            } => {
                let day = Day::of_delivery(attempt.delivery_id);
                let day = self.days.entry(day).or_default();
                let place = from_position(*position);
                day.attempts.insert(place, (*recorded, attempt));
                self.last = self.last.max(*position);
            }
        }
    }
}

impl DayRows<'_> {
    /// Columns of the events.
    pub(super) fn events(&self) -> Columns<'_> {
        let all = || self.events.values();
        Columns(vec![
            column(all().map(|(event, _)| event.tenant.as_str())),
            column(self.events.keys().copied()),
            column(all().map(|(event, to)| EventRow::write(event, to))),
            column(all().map(|(event, _)| body(event))),
            column(all().map(|(event, _)| event.erase_time.map(from_time))),
        ])
    }

    /// Columns of their idempotency keys.
    pub(super) fn keys(&self) -> Columns<'_> {
        let all = || {
            let events = self.events.values();
            events.filter_map(|(event, to)| Some((event, to, event.idempotency_key.as_ref()?)))
        };
        Columns(vec![
            column(all().map(|(event, ..)| event.tenant.as_str())),
            column(all().map(|(.., name)| name.as_bytes())),
            column(all().map(|(event, ..)| from_event(event.id))),
            column(all().map(|(event, to, _)| IdempotencyRow::of(event, to.len()).write())),
        ])
    }

    /// Columns of the deliveries.
    pub(super) fn deliveries(&self) -> Columns<'_> {
        let all = || self.deliveries.values().map(|(_, delivery)| *delivery);
        let last = || all().map(|delivery| delivery.last_outcome);
        Columns(vec![
            column(self.deliveries.keys().copied()),
            column(self.deliveries.values().map(|(tenant, _)| tenant.as_str())),
            column(all().map(|delivery| from_subscription(delivery.subscription_id))),
            column(all().map(|delivery| delivery.event_type.as_str())),
            column(all().map(|delivery| i16::from(code::from_state(delivery.state)))),
            column(all().map(|delivery| i16::from(code::from_trigger(delivery.trigger)))),
            column(all().map(|delivery| from_count(delivery.attempt_count))),
            column(all().map(|delivery| from_count(delivery.chain_start))),
            column(all().map(|delivery| from_time(delivery.chain_time))),
            column(all().map(|delivery| delivery.due.map(from_time))),
            column(last().map(|last| {
                let error = last.and_then(|last| last.error_kind);
                error.map(|kind| i16::from(code::from_error(kind)))
            })),
            column(last().map(|last| {
                let status = last.and_then(|last| last.response_status);
                status.map(i32::from)
            })),
            column(all().map(|delivery| from_count(delivery.revision))),
            column(all().map(|delivery| from_time(delivery.create_time))),
            column(all().map(|delivery| from_time(delivery.update_time))),
            column(all().map(|delivery| delivery.ordering_key.as_deref().map(str::as_bytes))),
        ])
    }

    pub(super) fn delivery_ids(&self) -> Vec<Uuid> {
        self.deliveries.keys().copied().collect()
    }

    /// Columns of the places in the queues.
    pub(super) fn places(&self) -> Columns<'_> {
        let all = || {
            let deliveries = self.deliveries.values();
            deliveries.filter_map(|(_, delivery)| Some((*delivery, delivery.due?)))
        };
        Columns(vec![
            column(all().map(|(delivery, _)| from_subscription(delivery.subscription_id))),
            column(all().map(|(_, due)| from_time(due))),
            column(all().map(|(delivery, _)| from_delivery(delivery.id))),
        ])
    }

    /// Columns of the attempts.
    pub(super) fn attempts(&self) -> Columns<'_> {
        let all = || self.attempts.values();
        Columns(vec![
            column(self.attempts.keys().copied()),
            column(all().map(|(_, attempt)| from_delivery(attempt.delivery_id))),
            column(all().map(|(_, attempt)| Uuid::from_bytes(attempt.id.to_bytes()))),
            column(all().map(|(recorded, _)| from_time(*recorded))),
            column(all().map(|(_, attempt)| attempt.next_attempt_time.map(from_time))),
            column(all().map(|(_, attempt)| write_attempt(attempt))),
        ])
    }

    /// Counts the attempts.
    pub(super) fn count(&self, counted: &mut Counted) {
        for (_, attempt) in self.attempts.values() {
            counted.count(attempt, 1);
        }
    }

    pub(super) fn positions(&self) -> Vec<i64> {
        self.attempts.keys().copied().collect()
    }
}

impl Columns<'_> {
    /// As parameters of a statement.
    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        let columns = self.0.iter();
        columns
            .map(|column| &**column as &(dyn ToSql + Sync))
            .collect()
    }
}

fn column<'a, T: ToSql + Sync + Send + 'a>(
    values: impl Iterator<Item = T>,
) -> Box<dyn ToSql + Sync + Send + 'a> {
    Box::new(values.collect::<Vec<T>>())
}

/// The payload, if it stands apart.
fn body(event: &Event) -> Option<&[u8]> {
    let data = &*event.payload.data;
    (data.len() > INLINE).then_some(data)
}
