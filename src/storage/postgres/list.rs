//! Lists: pages of what a walk shows and the filter lets through. A page ends
//! when it is full, when it is large, or when enough rows were looked at.

use std::{collections::HashMap, sync::Arc};

use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    connect::Connection,
    error::from_pg,
    row::{from_delivery, from_event, whole},
    state::State,
    tail::attempt,
    walk::Walk,
};
use crate::{
    domain::{Attempt, Delivery, DeliveryFilter, DeliveryId, Event, TenantId},
    storage::{
        EventFilter, Page, PageRequest, Result, View,
        error::describe,
        row::EventRow,
        walk::{MAX_BYTES, Place, continued},
    },
};

/// Deliveries whose attempts are read together, and attempts read at once.
const DELIVERIES: usize = 32;
const ATTEMPTS: usize = 64;

impl State {
    pub(super) async fn list_events(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        view: View,
        page: &PageRequest,
    ) -> Result<Page<Event>> {
        let from = Place::of(page)?;
        let client = self.connection().await?;
        let mut walk = Walk::new(self, &client, tenant, filter.accepted, from);
        let mut passed = Vec::new();
        let mut bytes = 0;
        let next = loop {
            if passed.len() >= page.size || bytes >= MAX_BYTES || walk.is_spent() {
                break walk.place();
            }
            let Some(event) = walk.next_event().await? else {
                break walk.rest();
            };
            let Some(row) = event.row else {
                continue;
            };
            let event_type = &row.event.event_type;
            let types = &filter.types;
            if types.is_empty() || types.iter().any(|pattern| pattern.matches(event_type)) {
                bytes += row.event.size_without_payload();
                if view == View::Full {
                    bytes += event.size;
                }
                passed.push(row);
            }
        };
        let items = match view {
            View::Basic => passed.into_iter().map(EventRow::basic).collect(),
            View::Full => full(&client, tenant, passed).await?,
        };
        Ok(continued(items, next))
    }

    pub(super) async fn list_deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<Page<Delivery>> {
        let from = Place::of(page)?;
        let client = self.connection().await?;
        let mut walk = Walk::filtered(self, &client, tenant, filter, from).await?;
        let mut items = Vec::new();
        while items.len() < page.size && !walk.is_spent() {
            let Some(delivery) = walk.next_delivery().await? else {
                return Ok(continued(items, walk.rest()));
            };
            if filter.shows_delivery(&delivery) {
                items.push(delivery);
            }
        }
        Ok(continued(items, walk.place()))
    }

    /// A few deliveries are taken from the walk at a time and their attempts
    /// read together, in the order in which they are shown.
    pub(super) async fn list_attempts(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<Page<Arc<Attempt>>> {
        let from = Place::of(page)?;
        let client = self.connection().await?;
        let mut walk = Walk::filtered(self, &client, tenant, filter, from).await?;
        let mut items = Vec::new();
        let mut bytes = 0;
        let mut is_last = false;
        while items.len() < page.size && bytes < MAX_BYTES && !walk.is_spent() && !is_last {
            let (deliveries, end) = attempted(&mut walk, filter).await?;
            is_last = end;
            let mut attempts = Attempts::of(&client, &deliveries, from);
            while let Some((place, attempt)) = attempts.next().await? {
                if items.len() == page.size || bytes >= MAX_BYTES {
                    return Ok(continued(items, Some(place)));
                }
                walk.look();
                if filter.shows_attempt(&attempt) {
                    bytes += attempt.size();
                    items.push(Arc::new(attempt));
                }
            }
        }
        let next = if is_last { walk.rest() } else { walk.place() };
        Ok(continued(items, next))
    }
}

/// The next deliveries that have attempts which may be shown, and whether the
/// walk goes no further.
async fn attempted(
    walk: &mut Walk<'_>,
    filter: &DeliveryFilter,
) -> Result<(Vec<DeliveryId>, bool)> {
    let mut deliveries = Vec::new();
    while deliveries.len() < DELIVERIES && !walk.is_spent() {
        let Some(delivery) = walk.next_delivery().await? else {
            return Ok((deliveries, true));
        };
        if delivery.attempt_count > 0
            && filter.shows_source(delivery.id, delivery.subscription_id, &delivery.event_type)
        {
            deliveries.push(delivery.id);
        }
    }
    Ok((deliveries, false))
}

/// The attempts of some deliveries, in the order of a list.
struct Attempts<'a> {
    client: &'a Connection,
    deliveries: Vec<Uuid>,
    /// Where to read on: with the attempts of this delivery before a position;
    /// none at the end.
    next: Option<(Uuid, i64)>,
    /// What was read and not shown yet, newest last.
    read: Vec<Row>,
}

impl<'a> Attempts<'a> {
    /// Those of the deliveries, newest first, but none from before the place.
    fn of(client: &'a Connection, deliveries: &[DeliveryId], from: Option<Place>) -> Self {
        let deliveries: Vec<_> = deliveries.iter().copied().map(from_delivery).collect();
        let next = deliveries.first().map(|newest| {
            let before = from.map_or(u64::MAX, |place| place.attempts_of(newest.as_u128()));
            (*newest, i64::try_from(before).unwrap_or(i64::MAX))
        });
        Self {
            client,
            deliveries,
            next,
            read: Vec::new(),
        }
    }

    /// The next attempt, and the place from which it comes again.
    async fn next(&mut self) -> Result<Option<(Place, Attempt)>> {
        if self.read.is_empty()
            && let Some((newest, before)) = self.next
        {
            self.read(newest, before).await?;
        }
        let Some(row) = self.read.pop() else {
            return Ok(None);
        };
        let after = row.get::<_, i64>("position").saturating_add(1);
        let delivery = row.get::<_, Uuid>("delivery").as_u128();
        let place = Place::within(delivery, after.unsigned_abs());
        Ok(Some((place, attempt(&row)?)))
    }

    async fn read(&mut self, newest: Uuid, before: i64) -> Result<()> {
        // The bounds tell which days to look at.
        let sql = format!(
            "SELECT delivery, position, next_attempt_time, content FROM attempt
             WHERE delivery BETWEEN $1 AND $2 AND delivery = ANY($3)
                 AND (delivery < $2 OR position < $4)
             ORDER BY delivery DESC, position DESC LIMIT {ATTEMPTS}"
        );
        let oldest = self.deliveries.last().unwrap_or(&newest);
        let statement = self.client.prepare_cached(&sql).await.map_err(from_pg)?;
        let rows = self
            .client
            .query(&statement, &[oldest, &newest, &self.deliveries, &before])
            .await
            .map_err(from_pg)?;
        let last = rows.last().filter(|_| rows.len() == ATTEMPTS);
        self.next = last.map(|row| (row.get("delivery"), row.get("position")));
        self.read.extend(rows.into_iter().rev());
        Ok(())
    }
}

/// The events with their payloads. One whose payload is gone was removed or
/// erased just now, and is left out; so is one that is damaged.
async fn full(client: &Connection, tenant: &TenantId, passed: Vec<EventRow>) -> Result<Vec<Event>> {
    let apart = passed.iter().filter(|row| row.apart);
    let apart: Vec<_> = apart.map(|row| from_event(row.event.id)).collect();
    let mut bodies = bodies(client, tenant, &apart).await?;
    let events = passed.into_iter().filter_map(|row| {
        let body = bodies.remove(&from_event(row.event.id));
        if row.apart && body.is_none() {
            return None;
        }
        let event = whole(row, body);
        let event = event.inspect_err(|error| {
            tracing::error!(error = describe(error), "left out an event that is damaged");
        });
        event.ok()
    });
    Ok(events.collect())
}

/// The payloads of events, which are given newest first.
async fn bodies(
    client: &Connection,
    tenant: &TenantId,
    events: &[Uuid],
) -> Result<HashMap<Uuid, Vec<u8>>> {
    let (Some(newest), Some(oldest)) = (events.first(), events.last()) else {
        return Ok(HashMap::new());
    };
    let statement = client
        .prepare_cached(
            "SELECT id, body FROM event
             WHERE tenant = $1 AND id BETWEEN $2 AND $3 AND id = ANY($4) AND body IS NOT NULL",
        )
        .await
        .map_err(from_pg)?;
    let rows = client
        .query(&statement, &[&tenant.as_str(), oldest, newest, &events])
        .await
        .map_err(from_pg)?;
    let bodies = rows.iter().map(|row| (row.get("id"), row.get("body")));
    Ok(bodies.collect())
}
