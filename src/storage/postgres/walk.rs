//! Walks over events and deliveries. The number of rows that are read at once
//! stands in the statements: the planner is to know that they are few.

use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    connect::Connection,
    error::from_pg,
    log::IS_LIVE,
    row::{self, DELIVERY, from_delivery, from_event, from_subscription, to_event_id},
    state::State,
};
use crate::{
    domain::{Delivery, DeliveryFilter, DeliveryId, EventId, SubscriptionId, TenantId, TimeRange},
    storage::{
        Result,
        error::describe,
        row::EventRow,
        walk::{CHUNK, Pace, Place, ids, number},
    },
};

/// An event that is walked by, without a body that stands apart.
pub(super) struct Passed {
    pub(super) id: EventId,
    /// None if it is damaged.
    pub(super) row: Option<EventRow>,
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
    pace: Pace,
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
        let (oldest, newest) = ids(range, from);
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
            pace: Pace::default(),
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
                walk.expand(&passed);
            }
            walk.next = None;
        } else {
            walk.subscription = filter.subscription_id;
        }
        Ok(walk)
    }

    /// Whether enough was looked at for one page.
    pub(super) fn is_spent(&self) -> bool {
        self.pace.is_spent()
    }

    /// Counts a row that was looked at on the way.
    pub(super) fn look(&mut self) {
        self.pace.look(1);
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
        self.pace.place(read == [true; 3], self.next)
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
            let last = read.last().map(|passed| passed.id);
            self.passed(read.len(), last.map(|id| from_event(id).as_u128()));
            self.events.extend(read.into_iter().rev());
        }
        let event = self.events.pop();
        if let Some(Passed { id, .. }) = &event {
            self.pace.show(from_event(*id).as_u128());
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
            self.pace.show(number(delivery.id));
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
            self.passed(read.len(), last.map(number));
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
            self.expand(&event);
            // Those of many events are read together, unless there are many of
            // one.
            while self.places.len() < CHUNK
                && let Some(event) = self.events.pop()
            {
                self.pace.look(1);
                let newer = std::mem::take(&mut self.places);
                self.expand(&event);
                self.places.extend(newer);
            }
        }
    }

    /// Queues an event's deliveries.
    fn expand(&mut self, event: &Passed) {
        let Some(row) = &event.row else {
            return;
        };
        let within = self.oldest..=self.newest;
        let ordinals = (0..=u16::MAX).zip(&row.subscriptions);
        let deliveries = ordinals
            .map(|(ordinal, _)| DeliveryId::new(row.event.id, ordinal))
            .filter(|id| within.contains(&number(*id)));
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
            let event = row::event(self.tenant.clone(), id, row.get("content"));
            let event = event.inspect_err(|error| {
                tracing::error!(error = describe(error), "left out an event that is damaged");
            });
            let event = event.ok();
            let within = event.as_ref().map(|event| event.event.payload.data.len());
            let apart = row.get::<_, Option<i32>>("size");
            let apart = apart.and_then(|size| usize::try_from(size).ok());
            Passed {
                id,
                size: apart.or(within).unwrap_or_default(),
                row: event,
            }
        });
        Ok(passed.collect())
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
