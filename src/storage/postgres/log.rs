//! Reads of single things; what else the log offers is in `list`, `tail` and
//! `by_hand`.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_postgres::{Row, types::ToSql};

use super::{
    connect::Connection,
    days,
    error::{from_pg, is_no_table},
    row::{self, DELIVERY, from_delivery, from_event, shown, whole},
    state::State,
    store::Store,
};
use crate::{
    domain::{Attempt, Delivery, DeliveryFilter, DeliveryId, Event, EventId, TenantId, Timestamp},
    storage::{
        DeliveryChange, Error, EventFilter, Log, LogPosition, LogSlice, Page, PageRequest,
        Resource, Result, View, day::Day,
    },
};

/// Whether the subscription of a row of `d` is there, as the column `is_live`.
pub(super) const IS_LIVE: &str = "EXISTS (SELECT FROM subscription s \
     WHERE s.tenant = d.tenant AND s.id = d.subscription AND s.content IS NOT NULL) AS is_live";

#[async_trait]
impl Log for Store {
    async fn event(&self, tenant: &TenantId, id: EventId, view: View) -> Result<Event> {
        let client = self.state.connection().await?;
        let day = Day::of_event(id);
        let body = match view {
            View::Basic => "NULL::bytea",
            View::Full => "body",
        };
        let table = days::name("event", day);
        let sql =
            format!("SELECT content, {body} AS body FROM {table} WHERE tenant = $1 AND id = $2");
        let of_event: [&(dyn ToSql + Sync); 2] = [&tenant.as_str(), &from_event(id)];
        let row = self.state.one_of_day(&client, day, &sql, &of_event).await?;
        let row = row.ok_or(Error::NotFound(Resource::Event(id)))?;
        event(tenant, id, &row, view)
    }

    async fn list_events(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        view: View,
        page: PageRequest,
    ) -> Result<Page<Event>> {
        self.state.list_events(tenant, filter, view, &page).await
    }

    async fn delivery(&self, tenant: &TenantId, id: DeliveryId) -> Result<Delivery> {
        let client = self.state.connection().await?;
        let day = Day::of_delivery(id);
        let table = days::name("delivery", day);
        let sql = format!(
            "SELECT {DELIVERY}, {IS_LIVE} FROM {table} d WHERE d.id = $1 AND d.tenant = $2"
        );
        let of_delivery: [&(dyn ToSql + Sync); 2] = [&from_delivery(id), &tenant.as_str()];
        let row = self.state.one_of_day(&client, day, &sql, &of_delivery);
        let row = row.await?;
        let row = row.ok_or(Error::NotFound(Resource::Delivery(id)))?;
        let (_, delivery) = row::delivery(&row)?;
        Ok(self.state.shown(&row, delivery))
    }

    async fn list_deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<Delivery>> {
        self.state.list_deliveries(tenant, filter, &page).await
    }

    async fn list_attempts(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<Arc<Attempt>>> {
        self.state.list_attempts(tenant, filter, &page).await
    }

    async fn change_delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
        change: DeliveryChange,
        now: Timestamp,
    ) -> Result<Delivery> {
        self.state.change_delivery(tenant, id, change, now).await
    }

    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogSlice> {
        self.state.read_log(after, limit).await
    }

    async fn position_before(&self, time: Timestamp) -> Result<LogPosition> {
        self.state.position_before(time).await
    }

    fn log_end(&self) -> watch::Receiver<LogPosition> {
        self.state.log_end.subscribe()
    }
}

impl State {
    /// Whether there are partitions of a day, those of other processes too.
    pub(super) async fn has_day(&self, client: &Connection, day: Day) -> Result<bool> {
        Ok(self.days.contains(day) || self.days.refresh(client).await?.contains(&day))
    }

    /// One row from the tables of a day; none if they are gone, too.
    async fn one_of_day(
        &self,
        client: &Connection,
        day: Day,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>> {
        if !self.has_day(client, day).await? {
            return Ok(None);
        }
        let row = async {
            let statement = client.prepare_cached(sql).await?;
            client.query_opt(&statement, parameters).await
        };
        match row.await {
            Err(error) if is_no_table(&error) => Ok(None),
            row => row.map_err(from_pg),
        }
    }

    /// The delivery of a row with [`IS_LIVE`], as callers see it.
    pub(super) fn shown(&self, row: &Row, delivery: Delivery) -> Delivery {
        let is_under_way = self.ownership.is_under_way(delivery.id);
        shown(delivery, row.get("is_live"), is_under_way)
    }
}

/// The event of a row, as much of it as is wanted.
fn event(tenant: &TenantId, id: EventId, row: &Row, view: View) -> Result<Event> {
    let read = row::event(tenant.clone(), id, row.get("content"))?;
    match view {
        View::Basic => Ok(read.basic()),
        View::Full => whole(read, row.get("body")),
    }
}
