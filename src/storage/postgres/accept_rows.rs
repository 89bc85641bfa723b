//! The rows of accepted events, column by column, and the statement that
//! inserts all of them or none.

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::{
    accept::Writing,
    days::name,
    error::from_pg,
    row::{from_delivery, from_event, from_subscription, from_time, to_tenant},
};
use crate::{
    domain::{DeliveryState, TenantId},
    storage::{
        Result, Routed,
        day::Day,
        row::{EventRow, INLINE, code},
    },
};

/// Columns of the rows to be inserted.
#[derive(Default)]
pub(super) struct Rows<'a> {
    versions: Versions<'a>,
    events: Events<'a>,
    deliveries: Deliveries<'a>,
    keys: Keys<'a>,
}

#[derive(Default)]
struct Versions<'a> {
    tenant: Vec<&'a str>,
    version: Vec<i64>,
}

#[derive(Default)]
struct Events<'a> {
    tenant: Vec<&'a str>,
    id: Vec<Uuid>,
    content: Vec<Vec<u8>>,
    body: Vec<Option<&'a [u8]>>,
}

#[derive(Default)]
struct Deliveries<'a> {
    id: Vec<Uuid>,
    tenant: Vec<&'a str>,
    subscription: Vec<Uuid>,
    event_type: Vec<&'a str>,
    trigger: Vec<i16>,
    create_time: Vec<i64>,
    due: Vec<i64>,
    ordering_key: Vec<Option<&'a [u8]>>,
}

#[derive(Default)]
struct Keys<'a> {
    tenant: Vec<&'a str>,
    name: Vec<&'a [u8]>,
    event: Vec<Uuid>,
    content: Vec<Vec<u8>>,
}

impl<'a> Rows<'a> {
    /// The rows of the events that are no duplicates.
    pub(super) fn of(calls: impl Iterator<Item = Writing<'a>>) -> Self {
        let mut rows = Self::default();
        for writing in calls {
            if let Some(version) = writing.call.routed_at {
                let version = i64::try_from(version.0).unwrap_or(i64::MAX);
                rows.versions.add(writing.call.tenant.as_str(), version);
            }
            let events = writing.call.events.iter().zip(writing.keys);
            for ((routed, key), answer) in events.zip(writing.answers) {
                if answer.duplicate {
                    continue;
                }
                rows.events.add(routed);
                rows.deliveries.add(routed);
                if let Some(((tenant, name), row)) = key {
                    rows.keys.tenant.push(tenant.as_str());
                    rows.keys.name.push(name.as_bytes());
                    rows.keys.event.push(from_event(row.first));
                    rows.keys.content.push(row.write());
                }
            }
        }
        rows
    }

    /// Inserts all rows, unless the subscriptions of a tenant have changed:
    /// then it returns the versions that are stale.
    ///
    /// The versions are read by the statement that inserts. What is published
    /// after a change was acknowledged is a later statement, so it sees the
    /// change; no lock is needed.
    pub(super) async fn insert(
        &self,
        client: &impl GenericClient,
        day: Day,
    ) -> Result<Vec<(TenantId, u64)>> {
        let statement = client.prepare_cached(&insertion(day)).await;
        let statement = statement.map_err(from_pg)?;
        let pending = code::from_state(DeliveryState::Pending);
        let (versions, events) = (&self.versions, &self.events);
        let (deliveries, keys) = (&self.deliveries, &self.keys);
        let stale = client
            .query(
                &statement,
                &[
                    &versions.tenant,
                    &versions.version,
                    &events.tenant,
                    &events.id,
                    &events.content,
                    &events.body,
                    &i16::from(pending),
                    &deliveries.id,
                    &deliveries.tenant,
                    &deliveries.subscription,
                    &deliveries.event_type,
                    &deliveries.trigger,
                    &deliveries.create_time,
                    &deliveries.due,
                    &deliveries.ordering_key,
                    &keys.tenant,
                    &keys.name,
                    &keys.event,
                    &keys.content,
                ],
            )
            .await
            .map_err(from_pg)?;
        let stale = stale.iter().map(|row| {
            let version = u64::try_from(row.get::<_, i64>("version")).unwrap_or(u64::MAX);
            Ok((to_tenant(row.get("tenant"))?, version))
        });
        stale.collect()
    }
}

impl<'a> Versions<'a> {
    /// Most calls of a group were routed by the same version.
    fn add(&mut self, tenant: &'a str, version: i64) {
        let mut known = self.tenant.iter().zip(&self.version);
        if !known.any(|known| known == (&tenant, &version)) {
            self.tenant.push(tenant);
            self.version.push(version);
        }
    }
}

impl<'a> Events<'a> {
    fn add(&mut self, routed: &'a Routed) {
        let event = &routed.event;
        self.tenant.push(event.tenant.as_str());
        self.id.push(from_event(event.id));
        self.content
            .push(EventRow::write(event, &routed.subscriptions));
        let apart = event.payload.data.len() > INLINE;
        self.body.push(apart.then_some(&event.payload.data));
    }
}

impl<'a> Deliveries<'a> {
    fn add(&mut self, routed: &'a Routed) {
        let event = &routed.event;
        for (id, subscription) in event.id.deliveries(&routed.subscriptions) {
            self.id.push(from_delivery(id));
            self.tenant.push(event.tenant.as_str());
            self.subscription.push(from_subscription(subscription));
            self.event_type.push(event.event_type.as_str());
            self.trigger
                .push(i16::from(code::from_trigger(routed.trigger)));
            self.create_time.push(from_time(event.create_time));
            self.due.push(from_time(event.due()));
            let ordering_key = event.ordering_key.as_deref();
            self.ordering_key.push(ordering_key.map(str::as_bytes));
        }
    }
}

fn insertion(day: Day) -> String {
    let (event, delivery) = (name("event", day), name("delivery", day));
    let idempotency = name("idempotency", day);
    format!(
        "WITH stale AS MATERIALIZED (
             SELECT v.tenant, v.version
             FROM unnest($1::text[], $2::bigint[]) AS v (tenant, version)
             LEFT JOIN tenant t ON t.id = v.tenant
             WHERE v.version <> coalesce(t.version, 0)
         ), events AS (
             INSERT INTO {event} (tenant, id, content, body)
             SELECT * FROM unnest($3::text[], $4::uuid[], $5::bytea[], $6::bytea[])
             WHERE NOT EXISTS (SELECT FROM stale)
         ), deliveries AS (
             INSERT INTO {delivery} (state, attempt_count, chain_start, revision, id, tenant,
                 subscription, event_type, trigger, create_time, update_time, chain_time, due,
                 ordering_key)
             SELECT $7, 0, 0, 0, d.id, d.tenant, d.subscription, d.event_type, d.trigger,
                 d.create_time, d.create_time, d.due, d.due, d.ordering_key
             FROM unnest($8::uuid[], $9::text[], $10::uuid[], $11::text[], $12::smallint[],
                 $13::bigint[], $14::bigint[], $15::bytea[])
                 AS d (id, tenant, subscription, event_type, trigger, create_time, due,
                     ordering_key)
             WHERE NOT EXISTS (SELECT FROM stale)
         ), queued AS (
             INSERT INTO ready (delivery, subscription, due)
             SELECT * FROM unnest($8::uuid[], $10::uuid[], $14::bigint[])
             WHERE NOT EXISTS (SELECT FROM stale)
         ), keys AS (
             INSERT INTO {idempotency} (tenant, name, event, content)
             SELECT * FROM unnest($16::text[], $17::bytea[], $18::uuid[], $19::bytea[])
             WHERE NOT EXISTS (SELECT FROM stale)
         )
         SELECT tenant, version FROM stale"
    )
}
