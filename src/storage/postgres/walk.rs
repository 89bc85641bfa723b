//! Walks over events and deliveries, newest first and a bounded number of rows
//! at a time. A walk goes by ids, so writes on either side of it leave what it
//! has yet to see as it is.

use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    connect::Connection,
    days::first_id,
    error::{from_pg, malformed},
    log::IS_LIVE,
    row::{self, DELIVERY, from_delivery, from_event, from_subscription, to_event_id},
    state::State,
};
use crate::{
    domain::{
        Delivery, DeliveryFilter, DeliveryId, SubscriptionId, TenantId, TimeRange, Timestamp,
    },
    storage::{Cursor, Error, Result, row::EventRow},
};

/// Most rows that are looked at for a page.
const MAX_ROWS: usize = 4_000;

/// Rows that are read at once. Stands in the statements too: the planner is to
/// know that they are few.
const CHUNK: usize = 64;

/// Where a walk goes on: with the delivery of this id, or the next older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: u128,
    /// Only attempts of that delivery before this position are still to come.
    pub(super) before: i64,
}

impl Place {
    pub(super) fn to_cursor(self) -> Cursor {
        let mut bytes = self.id.to_be_bytes().to_vec();
        bytes.extend(self.before.to_be_bytes());
        Cursor(bytes)
    }

    pub(super) fn from_cursor(cursor: &Cursor) -> Result<Self> {
        let parts = cursor.0.split_first_chunk();
        match parts.map(|(id, before)| (id, before.try_into())) {
            Some((id, Ok(before))) => Ok(Self {
                id: u128::from_be_bytes(*id),
                before: i64::from_be_bytes(before),
            }),
            _ => Err(Error::Corrupt("cursor".to_owned())),
        }
    }
}

/// An event that is walked by, without a body that stands apart.
pub(super) struct Passed {
    pub(super) row: EventRow,
    /// How long the body is.
    pub(super) size: usize,
}

/// A walk through a tenant's events or deliveries.
pub(super) struct Walk<'a> {
    state: &'a State,
    client: &'a Connection,
    tenant: &'a TenantId,
    /// The ids within, both ends included.
    oldest: u128,
    newest: u128,
    /// Only deliveries of this subscription.
    subscription: Option<SubscriptionId>,
    /// Where to read on; none at the end.
    next: Option<u128>,
    /// What was read and not shown yet, newest last.
    events: Vec<Passed>,
    deliveries: Vec<Delivery>,
    places: Vec<DeliveryId>,
    looked_at: Option<u128>,
    rows: usize,
}

impl<'a> Walk<'a> {
    /// From a place, through what was accepted within the range.
    pub(super) fn new(
        state: &'a State,
        client: &'a Connection,
        tenant: &'a TenantId,
        range: TimeRange,
        from: Option<Place>,
    ) -> Self {
        let oldest = first_id(range.start).as_u128();
        let newest = match range.end {
            Timestamp::MAX => u128::MAX,
            end => first_id(end).as_u128().saturating_sub(1),
        };
        let newest = from.map_or(newest, |place| newest.min(place.id));
        Self {
            state,
            client,
            tenant,
            oldest,
            newest,
            subscription: None,
            next: Some(newest),
            events: Vec::new(),
            deliveries: Vec::new(),
            places: Vec::new(),
            looked_at: None,
            rows: 0,
        }
    }

    /// The same through what the ids of a filter choose, by the shortest way.
    pub(super) async fn filtered(
        state: &'a State,
        client: &'a Connection,
        tenant: &'a TenantId,
        filter: &DeliveryFilter,
        from: Option<Place>,
    ) -> Result<Self> {
        let mut walk = Self::new(state, client, tenant, filter.accepted, from);
        let of_delivery = filter.delivery_id.map(DeliveryId::event_id);
        if let Some(event) = filter.event_id.or(of_delivery) {
            let id = from_event(event).as_u128();
            for passed in walk.read_events(id, id).await? {
                walk.expand(&passed.row);
            }
            walk.next = None;
        } else {
            walk.subscription = filter.subscription_id;
        }
        Ok(walk)
    }

    /// Whether enough was looked at for one page.
    pub(super) fn is_spent(&self) -> bool {
        self.rows >= MAX_ROWS
    }

    /// Counts a row that was looked at on the way.
    pub(super) fn look(&mut self) {
        self.rows += 1;
    }

    /// Where to go on if this walk showed no more because it is spent.
    pub(super) fn rest(&self) -> Option<Place> {
        self.place().filter(|_| self.is_spent())
    }

    /// Where to go on after what was shown last; none at the end.
    pub(super) fn place(&self) -> Option<Place> {
        let read = [
            self.events.is_empty(),
            self.deliveries.is_empty(),
            self.places.is_empty(),
        ];
        let id = if read == [true; 3] {
            self.next?
        } else {
            self.looked_at?.checked_sub(1)?
        };
        Some(Place {
            id,
            before: i64::MAX,
        })
    }

    /// The next event; none at the end and when the walk is spent.
    pub(super) async fn next_event(&mut self) -> Result<Option<Passed>> {
        if self.events.is_empty()
            && !self.is_spent()
            && let Some(next) = self.next
        {
            // The event of a delivery within has a lower id than that.
            let oldest = event_of(self.oldest);
            let read = self.read_events(oldest, event_of(next)).await?;
            let last = read.last().map(|passed| passed.row.event.id);
            self.passed(read.len(), last.map(|id| from_event(id).as_u128()));
            self.events.extend(read.into_iter().rev());
        }
        let event = self.events.pop();
        if let Some(Passed { row, .. }) = &event {
            self.looked_at = Some(from_event(row.event.id).as_u128());
            self.rows += 1;
        }
        Ok(event)
    }

    /// The next delivery, as callers see it; none at the end and when the walk
    /// is spent.
    pub(super) async fn next_delivery(&mut self) -> Result<Option<Delivery>> {
        let delivery = match self.subscription {
            Some(subscription) => self.next_of_subscription(subscription).await?,
            None => self.next_of_events().await?,
        };
        if let Some(delivery) = &delivery {
            self.looked_at = Some(from_delivery(delivery.id).as_u128());
            self.rows += 1;
        }
        Ok(delivery)
    }

    async fn next_of_subscription(&mut self, id: SubscriptionId) -> Result<Option<Delivery>> {
        if self.deliveries.is_empty()
            && !self.is_spent()
            && let Some(next) = self.next
        {
            let sql = format!(
                "SELECT {DELIVERY}, {IS_LIVE} FROM delivery d
                 WHERE d.subscription = $1 AND d.id BETWEEN $2 AND $3
                 ORDER BY d.id DESC LIMIT {CHUNK}"
            );
            let (first, last) = (Uuid::from_u128(self.oldest), Uuid::from_u128(next));
            let rows = self
                .query(&sql, &[&from_subscription(id), &first, &last])
                .await?;
            let mut read = Vec::with_capacity(rows.len());
            for row in &rows {
                let (tenant, delivery) = row::delivery(row)?;
                if tenant != *self.tenant {
                    // So are all of them.
                    self.next = None;
                    return Ok(None);
                }
                read.push(self.state.shown(row, delivery));
            }
            let last = read.last().map(|delivery| delivery.id);
            self.passed(read.len(), last.map(|id| from_delivery(id).as_u128()));
            self.deliveries.extend(read.into_iter().rev());
        }
        Ok(self.deliveries.pop())
    }

    async fn next_of_events(&mut self) -> Result<Option<Delivery>> {
        loop {
            if let Some(delivery) = self.deliveries.pop() {
                return Ok(Some(delivery));
            }
            if !self.places.is_empty() {
                self.read_places().await?;
                continue;
            }
            let Some(event) = self.next_event().await? else {
                return Ok(None);
            };
            self.expand(&event.row);
            // Those of many events are read together, unless there are many of
            // one.
            while self.places.len() < CHUNK
                && let Some(event) = self.events.pop()
            {
                self.rows += 1;
                let newer = std::mem::take(&mut self.places);
                self.expand(&event.row);
                self.places.extend(newer);
            }
        }
    }

    /// Queues an event's deliveries.
    fn expand(&mut self, row: &EventRow) {
        let within = self.oldest..=self.newest;
        let ordinals = (0..=u16::MAX).zip(&row.subscriptions);
        let deliveries = ordinals
            .map(|(ordinal, _)| DeliveryId::new(row.event.id, ordinal))
            .filter(|id| within.contains(&from_delivery(*id).as_u128()));
        self.places.extend(deliveries);
    }

    /// Reads the next of the queued deliveries.
    async fn read_places(&mut self) -> Result<()> {
        let rest = self.places.len().saturating_sub(CHUNK);
        let ids: Vec<Uuid> = self.places.drain(rest..).map(from_delivery).collect();
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
            return Ok(());
        };
        // The bounds tell which days to look at.
        let sql = format!(
            "SELECT {DELIVERY}, {IS_LIVE} FROM delivery d
             WHERE d.id BETWEEN $1 AND $2 AND d.id = ANY($3)
             ORDER BY d.id LIMIT {CHUNK}"
        );
        let rows = self.query(&sql, &[first, last, &ids]).await?;
        for row in &rows {
            let (_, delivery) = row::delivery(row)?;
            self.deliveries.push(self.state.shown(row, delivery));
        }
        Ok(())
    }

    async fn read_events(&self, first: u128, last: u128) -> Result<Vec<Passed>> {
        let sql = format!(
            "SELECT id, content, octet_length(body) AS size FROM event
             WHERE tenant = $1 AND id BETWEEN $2 AND $3
             ORDER BY id DESC LIMIT {CHUNK}"
        );
        let (first, last) = (Uuid::from_u128(first), Uuid::from_u128(last));
        let rows = self
            .query(&sql, &[&self.tenant.as_str(), &first, &last])
            .await?;
        let passed = rows.iter().map(|row| {
            let id = to_event_id(row.get("id"));
            let event = EventRow::read(self.tenant.clone(), id, row.get("content"));
            let event = event.map_err(malformed("event"))?;
            let apart = row.get::<_, Option<i32>>("size");
            let apart = apart.and_then(|size| usize::try_from(size).ok());
            Ok(Passed {
                size: apart.unwrap_or(event.event.payload.data.len()),
                row: event,
            })
        });
        passed.collect()
    }

    /// Notes how far was read.
    fn passed(&mut self, count: usize, last: Option<u128>) {
        let below = last.and_then(|last| last.checked_sub(1));
        self.next = below.filter(|below| count == CHUNK && *below >= self.oldest);
    }

    async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let statement = self.client.prepare_cached(sql).await.map_err(from_pg)?;
        let rows = self.client.query(&statement, parameters).await;
        rows.map_err(from_pg)
    }
}

/// The id of the event of this delivery.
fn event_of(delivery: u128) -> u128 {
    let id = DeliveryId::from_bytes(delivery.to_be_bytes());
    from_event(id.event_id()).as_u128()
}
