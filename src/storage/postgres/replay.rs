//! Replays as they are stored, and the events that they look at.

use std::collections::HashMap;

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    connect::Connection,
    error::{from_pg, malformed},
    log::IS_LIVE,
    row::{self, DELIVERY, from_delivery, to_event_id, to_tenant},
    state::State,
    store::Store,
};
use crate::{
    domain::{Delivery, DeliveryId, Replay, ReplayId, TenantId, Timestamp, Trigger},
    storage::{
        Candidate, Candidates, Cursor, Error, Page, PageRequest, ReplayAdvance, ReplayChange,
        Replays, Resource, Result,
        replay::ordinal_of,
        row::{read_replay, write_replay},
        walk::{self, ids},
    },
};

#[async_trait]
impl Replays for Store {
    async fn create_replay(&self, replay: Replay) -> Result<()> {
        let client = self.state.connection().await?;
        let content = write_replay(&replay);
        let created = client
            .execute(
                "INSERT INTO replay (id, tenant, is_running, content) VALUES ($1, $2, true, $3)",
                &[&from_replay(replay.id), &replay.tenant.as_str(), &content],
            )
            .await;
        created.map_err(from_pg)?;
        self.state.note_reached();
        Ok(())
    }

    async fn replay(&self, tenant: &TenantId, id: ReplayId) -> Result<Replay> {
        let client = self.state.connection().await?;
        let found = client
            .query_opt(
                "SELECT id, tenant, content FROM replay WHERE id = $1 AND tenant = $2",
                &[&from_replay(id), &tenant.as_str()],
            )
            .await
            .map_err(from_pg)?;
        replay(&found.ok_or(Error::NotFound(Resource::Replay(id)))?)
    }

    async fn list_replays(&self, tenant: &TenantId, page: PageRequest) -> Result<Page<Replay>> {
        // No id of a replay is that large: ids say their version.
        let below = match &page.cursor {
            None => Uuid::max(),
            Some(Cursor(bytes)) => {
                Uuid::from_slice(bytes).map_err(|_| Error::Corrupt("cursor".to_owned()))?
            }
        };
        let limit = i64::try_from(page.size.saturating_add(1)).unwrap_or(i64::MAX);
        let client = self.state.connection().await?;
        let rows = client
            .query(
                "SELECT id, tenant, content FROM replay
                 WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
                &[&tenant.as_str(), &below, &limit],
            )
            .await
            .map_err(from_pg)?;
        let shown = rows.iter().take(page.size).map(replay);
        let items: Vec<_> = shown.collect::<Result<_>>()?;
        let last = items.last().filter(|_| rows.len() > page.size);
        let next = last.map(|last| Cursor(last.id.to_bytes().to_vec()));
        Ok(Page { items, next })
    }

    async fn running_replays(&self) -> Result<Vec<Replay>> {
        let client = self.state.own_connection().await?;
        let statement = client
            .prepare_cached("SELECT id, tenant, content FROM replay WHERE is_running ORDER BY id")
            .await
            .map_err(from_pg)?;
        let rows = client.query(&statement, &[]).await.map_err(from_pg)?;
        rows.iter().map(replay).collect()
    }

    async fn candidates(&self, replay: &Replay, limit: usize) -> Result<Candidates> {
        let client = self.state.own_connection().await?;
        self.state.candidates(&client, replay, limit).await
    }

    async fn advance_replay(&self, advance: ReplayAdvance) -> Result<Replay> {
        let advanced = self.state.advance_replay(&advance).await;
        advanced.inspect_err(|error| self.state.note(error))
    }

    async fn change_replay(
        &self,
        tenant: &TenantId,
        id: ReplayId,
        change: ReplayChange,
        now: Timestamp,
    ) -> Result<Replay> {
        let changed = self.state.change_replay(tenant, id, change, now).await;
        changed.inspect_err(|error| self.state.note(error))
    }
}

impl State {
    async fn candidates(
        &self,
        client: &Connection,
        replay: &Replay,
        limit: usize,
    ) -> Result<Candidates> {
        let (mut first, last) = ids(replay.accepted(), None);
        if let Some(after) = replay.after {
            first = first.max(walk::number(DeliveryId::new(after, u16::MAX)) + 1);
        }
        let (first, last) = (Uuid::from_u128(first), Uuid::from_u128(last));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let statement = client
            .prepare_cached(
                "SELECT id, content FROM event
                 WHERE tenant = $1 AND id BETWEEN $2 AND $3 ORDER BY id LIMIT $4",
            )
            .await
            .map_err(from_pg)?;
        let tenant = replay.tenant.as_str();
        let rows = client
            .query(&statement, &[&tenant, &first, &last, &limit])
            .await;
        let events = rows.map_err(from_pg)?;
        let events = events.iter().map(|row| {
            let id = to_event_id(row.get("id"));
            row::event(replay.tenant.clone(), id, row.get("content"))
        });
        let events: Vec<_> = events.collect::<Result<_>>()?;
        let next = events.last().map(|row| row.event.id);
        let subscription = replay.spec.subscription_id;
        let wanted = events.iter().flat_map(|row| {
            let first = (!row.subscriptions.is_empty()).then_some(0);
            let own = ordinal_of(&row.subscriptions, subscription);
            [first, own]
                .into_iter()
                .flatten()
                .map(|ordinal| DeliveryId::new(row.event.id, ordinal))
        });
        let deliveries = self.deliveries(client, wanted).await?;
        let items = events.into_iter().filter_map(|row| {
            let id = row.event.id;
            let first = deliveries.get(&DeliveryId::new(id, 0));
            let is_sample = first.is_some_and(|first| first.trigger == Trigger::Test);
            if is_sample || row.event.is_erased() {
                return None;
            }
            let ordinal = ordinal_of(&row.subscriptions, subscription);
            let delivery =
                ordinal.and_then(|ordinal| deliveries.get(&DeliveryId::new(id, ordinal)));
            Some(Candidate {
                event_id: id,
                event_type: row.event.event_type,
                delivery: delivery.cloned(),
            })
        });
        Ok(Candidates {
            items: items.collect(),
            next,
        })
    }

    /// The deliveries with these ids, which grow, as callers see them.
    async fn deliveries(
        &self,
        client: &Connection,
        ids: impl Iterator<Item = DeliveryId>,
    ) -> Result<HashMap<DeliveryId, Delivery>> {
        let ids: Vec<Uuid> = ids.map(from_delivery).collect();
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
            return Ok(HashMap::new());
        };
        // The bounds tell which days to look at.
        let sql = format!(
            "SELECT {DELIVERY}, {IS_LIVE} FROM delivery d
             WHERE d.id BETWEEN $1 AND $2 AND d.id = ANY($3)"
        );
        let statement = client.prepare_cached(&sql).await.map_err(from_pg)?;
        let rows = client.query(&statement, &[first, last, &ids]).await;
        let rows = rows.map_err(from_pg)?;
        let deliveries = rows.iter().map(|row| {
            let (_, delivery) = row::delivery(row)?;
            Ok((delivery.id, self.shown(row, delivery)))
        });
        deliveries.collect()
    }
}

/// The replay of a row.
pub(super) fn replay(row: &Row) -> Result<Replay> {
    let tenant = to_tenant(row.get("tenant"))?;
    let id = ReplayId::from_bytes(row.get::<_, Uuid>("id").into_bytes());
    read_replay(tenant, id, row.get("content")).map_err(malformed("replay"))
}

pub(super) fn from_replay(id: ReplayId) -> Uuid {
    Uuid::from_bytes(id.to_bytes())
}
