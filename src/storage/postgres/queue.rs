//! The due index, as far as it is this process's.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::{
    connect::Connection,
    error::from_pg,
    ownership::number_of,
    record::Recording,
    row::{
        from_delivery, from_subscription, from_time, to_delivery_id, to_subscription_id, to_time,
    },
    state::State,
    store::Store,
};
use crate::{
    domain::{DeliveryId, DeliveryState, SubscriptionId, TenantId, Timestamp},
    storage::{AttemptRecord, Due, DueKey, DuePage, Hint, Queue, Result, Work, row::code},
};

#[async_trait]
impl Queue for Store {
    fn owns(&self, subscription: SubscriptionId) -> bool {
        self.state.ownership.owns(subscription)
    }

    fn ownership(&self) -> watch::Receiver<u64> {
        self.state.ownership.changes()
    }

    fn hand_over(&self) {
        self.state.ownership.retire();
        self.state.nudge.shards.notify_one();
    }

    async fn due_subscriptions(
        &self,
        after: Option<SubscriptionId>,
        limit: usize,
    ) -> Result<Vec<Due>> {
        let client = self.state.own_connection().await?;
        let except = self.state.left_out.ids();
        first_of_each(&client, &self.state, after, &except, limit).await
    }

    async fn due(
        &self,
        subscription: SubscriptionId,
        after: Option<DueKey>,
        limit: usize,
    ) -> Result<DuePage> {
        // Before reading: what was announced by now is seen.
        let as_of = *self.state.announced.lock();
        let client = self.state.own_connection().await?;
        let statement = client
            .prepare_cached(
                "SELECT due, delivery FROM ready
                 WHERE subscription = $1 AND (due, delivery) > ($2, $3)
                     AND NOT delivery = ANY($5)
                 ORDER BY due, delivery LIMIT $4",
            )
            .await
            .map_err(from_pg)?;
        let (due, delivery) = after.map_or((i64::MIN, Uuid::nil()), |after| {
            (from_time(after.due), from_delivery(after.delivery_id))
        });
        let except = self.state.left_out.ids().into_iter();
        let except: Vec<Uuid> = except.map(from_delivery).collect();
        let more = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
        let rows = client
            .query(
                &statement,
                &[
                    &from_subscription(subscription),
                    &due,
                    &delivery,
                    &more,
                    &except,
                ],
            )
            .await
            .map_err(from_pg)?;
        let complete = rows.len() <= limit;
        let entries = rows.iter().take(limit).map(|row| DueKey {
            due: to_time(row.get("due")),
            delivery_id: to_delivery_id(row.get("delivery")),
        });
        Ok(DuePage {
            entries: entries.collect(),
            complete,
            as_of,
        })
    }

    async fn load_work(&self, _: SubscriptionId, delivery: DeliveryId) -> Result<Option<Work>> {
        let loading = |reply| super::load::Loading { delivery, reply };
        self.hand(|intakes| intakes.loading, loading).await
    }

    async fn ahead_of(
        &self,
        subscription: SubscriptionId,
        ordering_key: &str,
        delivery: DeliveryId,
    ) -> Result<Option<DueKey>> {
        let client = self.state.own_connection().await?;
        let statement = client
            .prepare_cached(
                "SELECT id, due FROM delivery
                 WHERE subscription = $1 AND ordering_key = $2 AND id < $3 AND due IS NOT NULL
                 ORDER BY id LIMIT 1",
            )
            .await
            .map_err(from_pg)?;
        let row = client
            .query_opt(
                &statement,
                &[
                    &from_subscription(subscription),
                    &ordering_key.as_bytes(),
                    &from_delivery(delivery),
                ],
            )
            .await
            .map_err(from_pg)?;
        Ok(row.map(|row| DueKey {
            due: to_time(row.get("due")),
            delivery_id: to_delivery_id(row.get("id")),
        }))
    }

    fn attempt_started(&self, subscription: SubscriptionId, delivery: DeliveryId) -> bool {
        self.state.ownership.start(subscription, delivery)
    }

    fn attempt_abandoned(&self, delivery: DeliveryId) {
        self.state.ownership.end([delivery]);
    }

    async fn pending(&self, tenant: &TenantId, most: u64) -> Result<u64> {
        let client = self.state.own_connection().await?;
        let statement = client
            .prepare_cached(
                "SELECT count(*) FROM (
                     SELECT FROM subscription s JOIN ready q ON q.subscription = s.id
                     WHERE s.tenant = $1 AND s.content IS NOT NULL LIMIT $2
                 ) n",
            )
            .await
            .map_err(from_pg)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let row = client
            .query_one(&statement, &[&tenant.as_str(), &most])
            .await;
        row.map(|row| row.get::<_, i64>(0).unsigned_abs())
            .map_err(from_pg)
    }

    async fn record_attempts(&self, records: Vec<AttemptRecord>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let recording = |reply| Recording { records, reply };
        self.hand(|intakes| intakes.recording, recording).await
    }

    async fn cancel_pending(
        &self,
        subscription: SubscriptionId,
        limit: usize,
        now: Timestamp,
    ) -> Result<usize> {
        let client = self.state.own_connection().await?;
        // Deliveries are locked before their places in the queue, as by those
        // who record, so that nobody waits in a circle.
        let statement = client
            .prepare_cached(
                "WITH picked AS MATERIALIZED (
                     SELECT due, delivery FROM ready
                     WHERE subscription = $1 ORDER BY due, delivery LIMIT $2
                 ), moved AS (
                     UPDATE delivery d SET state = $3, due = NULL, revision = d.revision + 1,
                         update_time = greatest(d.update_time, $4)
                     FROM picked p WHERE d.id = p.delivery AND d.due = p.due
                     RETURNING d.id
                 ), gone AS (
                     DELETE FROM ready r USING picked p
                     WHERE r.subscription = $1 AND r.due = p.due AND r.delivery = p.delivery
                         AND (SELECT count(*) FROM moved) >= 0
                     RETURNING r.delivery
                 )
                 SELECT count(*) FROM gone",
            )
            .await
            .map_err(from_pg)?;
        let cancelled = i16::from(code::from_state(DeliveryState::Cancelled));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let row = client
            .query_one(
                &statement,
                &[
                    &from_subscription(subscription),
                    &limit,
                    &cancelled,
                    &from_time(now),
                ],
            )
            .await
            .map_err(from_pg)?;
        Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
    }

    fn hints(&self) -> broadcast::Receiver<Arc<Hint>> {
        self.state.hints.subscribe()
    }
}

/// The first delivery of each owned queue, but for these; up to `limit` queues
/// after one. Jumps from subscription to subscription, so its cost depends on
/// their number.
pub(super) async fn first_of_each(
    client: &Connection,
    state: &State,
    after: Option<SubscriptionId>,
    except: &[DeliveryId],
    limit: usize,
) -> Result<Vec<Due>> {
    let owned: Vec<i32> = state.ownership.owned().into_iter().map(number_of).collect();
    if owned.is_empty() {
        return Ok(Vec::new());
    }
    let statement = client
        .prepare_cached(
            "WITH RECURSIVE s AS (
                 (SELECT subscription FROM ready WHERE subscription > $1
                  ORDER BY subscription LIMIT 1)
                 UNION ALL
                 SELECT (SELECT r.subscription FROM ready r
                         WHERE r.subscription > s.subscription
                         ORDER BY r.subscription LIMIT 1)
                 FROM s WHERE s.subscription IS NOT NULL
             )
             SELECT s.subscription, f.due, f.delivery
             FROM s CROSS JOIN LATERAL (
                 SELECT r.due, r.delivery FROM ready r
                 WHERE r.subscription = s.subscription AND NOT r.delivery = ANY($2)
                 ORDER BY r.due, r.delivery LIMIT 1
             ) AS f
             WHERE s.subscription IS NOT NULL
                 AND get_byte(uuid_send(s.subscription), 15) = ANY($3)
             LIMIT $4",
        )
        .await
        .map_err(from_pg)?;
    let after = after.map_or(Uuid::nil(), from_subscription);
    let except: Vec<Uuid> = except.iter().copied().map(from_delivery).collect();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = client
        .query(&statement, &[&after, &except, &owned, &limit])
        .await
        .map_err(from_pg)?;
    let due = rows.iter().map(|row| Due {
        subscription_id: to_subscription_id(row.get("subscription")),
        first: DueKey {
            due: to_time(row.get("due")),
            delivery_id: to_delivery_id(row.get("delivery")),
        },
    });
    Ok(due.collect())
}
