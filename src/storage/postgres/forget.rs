//! Events of a tenant go before their day does: all rows of them, some events in
//! a transaction, and a vacuum makes their room free to be written over.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::{
    connect::Connection,
    days,
    erase::{by_day, vacuum},
    error::{from_pg, is_no_table},
    row::from_event,
    state::State,
    stats,
};
use crate::{
    domain::{Erasure, EventId, TenantId, TimeRange, Timestamp},
    storage::{RemovedEvents, Result, day::Day},
};

impl State {
    /// See [`crate::storage::Retention::remove_of_tenant`].
    pub(super) async fn forget_events(
        &self,
        tenant: &TenantId,
        before: Timestamp,
    ) -> Result<RemovedEvents> {
        let what = Erasure::Accepted(TimeRange {
            start: Timestamp::MIN,
            end: before,
        });
        let mut client = self.connection().await?;
        let mut removed = RemovedEvents::default();
        let mut touched = BTreeSet::new();
        let mut from = None;
        loop {
            let (events, next) = self.erasable(&client, tenant, what, from).await?;
            for (day, events) in by_day(events) {
                let gone = forget(&mut client, day, tenant, &events).await?;
                if gone.events > 0 {
                    touched.insert(day);
                }
                removed.events += gone.events;
                removed.kept += gone.kept;
            }
            if next.is_none() {
                break;
            }
            from = next;
        }
        for day in touched {
            vacuum(&client, day).await;
        }
        Ok(removed)
    }
}

/// Removes events of a day, but those of which something is due. Deliveries are
/// locked, due or not, so that none of them becomes due meanwhile.
async fn forget(
    client: &mut Connection,
    day: Day,
    tenant: &TenantId,
    events: &[EventId],
) -> Result<RemovedEvents> {
    let [event, delivery, attempt, idempotency, _] =
        days::TABLES.map(|(table, _)| days::name(table, day));
    let transaction = client.transaction().await.map_err(from_pg)?;
    let ids: Vec<Uuid> = events.iter().copied().map(from_event).collect();
    let lock = format!(
        "SELECT d.id, d.due, k.id AS event FROM unnest($1::uuid[]) AS k (id)
         JOIN {delivery} d
             ON d.id BETWEEN k.id AND (left(k.id::text, 32) || 'ffff')::uuid AND d.tenant = $2
         ORDER BY d.id FOR UPDATE OF d"
    );
    let of_tenant = tenant.as_str();
    let locked = async {
        let statement = transaction.prepare_cached(&lock).await?;
        transaction.query(&statement, &[&ids, &of_tenant]).await
    };
    let rows = match locked.await {
        // The day was dropped just now.
        Err(error) if is_no_table(&error) => return Ok(RemovedEvents::default()),
        rows => rows.map_err(from_pg)?,
    };
    let due = rows
        .iter()
        .filter(|row| row.get::<_, Option<i64>>("due").is_some());
    let kept: HashSet<Uuid> = due.map(|row| row.get("event")).collect();
    let deliveries = rows.iter().filter(|row| !kept.contains(&row.get("event")));
    let deliveries: Vec<Uuid> = deliveries.map(|row| row.get("id")).collect();
    let gone: Vec<Uuid> = ids.into_iter().filter(|id| !kept.contains(id)).collect();
    let sql = format!("DELETE FROM {attempt} WHERE delivery = ANY($1) RETURNING content");
    let counted = stats::counted(&transaction, &sql, &deliveries, -1).await?;
    stats::add(&transaction, day, &counted).await?;
    let sql = format!("DELETE FROM {delivery} WHERE id = ANY($1)");
    let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
    let deleted = transaction.execute(&statement, &[&deliveries]).await;
    deleted.map_err(from_pg)?;
    let mut removed = RemovedEvents {
        events: 0,
        kept: kept.len() as u64,
    };
    for (table, column) in [(&idempotency, "event"), (&event, "id")] {
        let sql = format!("DELETE FROM {table} WHERE tenant = $1 AND {column} = ANY($2)");
        let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
        let deleted = transaction.execute(&statement, &[&of_tenant, &gone]).await;
        removed.events = deleted.map_err(from_pg)?;
    }
    transaction.commit().await.map_err(from_pg)?;
    Ok(removed)
}
