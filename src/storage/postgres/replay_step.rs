//! Steps of a replay, each a transaction that holds the row of the replay: so
//! two processes that both take a replay for theirs make no step twice.

use super::{
    by_hand::{Transaction, locked, requeue, update},
    connect::Connection,
    days,
    error::{from_pg, unreadable},
    replay::{from_replay, replay},
    row::{self, from_delivery, from_event, from_subscription, from_time},
    state::State,
};
use crate::{
    domain::{
        Delivery, DeliveryId, EventId, Keyring, Replay, ReplayId, ReplayState, ReplayStep,
        Subscription, SubscriptionId, TenantId, Timestamp,
    },
    storage::{
        Error, Hint, ReplayAdvance, ReplayChange, Rescheduled, Resource, Result,
        day::Day,
        replay::ordinal_of,
        row::{EventRow, code, read_subscription, write_replay},
    },
};

/// What became of the delivery of an event.
enum Made {
    Nothing,
    Counted,
    Begun(Delivery),
}

impl State {
    /// See [`crate::storage::Replays::advance_replay`].
    pub(super) async fn advance_replay(&self, advance: &ReplayAdvance) -> Result<Replay> {
        let mut client = self.own_connection().await?;
        let mut events = Vec::with_capacity(advance.events.len());
        for event in &advance.events {
            if self.has_day(&client, Day::of_event(*event)).await? {
                events.push(*event);
            }
        }
        let (replay, rescheduled) = self.step(&mut client, advance, &events).await?;
        self.note_reached();
        let (own, others): (Vec<_>, Vec<_>) = rescheduled
            .into_iter()
            .partition(|change| self.ownership.owns(change.subscription_id));
        if !own.is_empty() {
            self.announce(Hint {
                rescheduled: own,
                ..Hint::default()
            });
        }
        if !others.is_empty() {
            self.nudge.tell();
        }
        Ok(replay)
    }

    async fn step(
        &self,
        client: &mut Connection,
        advance: &ReplayAdvance,
        events: &[EventId],
    ) -> Result<(Replay, Vec<Rescheduled>)> {
        let transaction = client.transaction().await.map_err(from_pg)?;
        let replay = hold(&transaction, &advance.tenant, advance.id).await?;
        if !replay.is_at(advance.after) {
            return Ok((replay, Vec::new()));
        }
        let subscription = replay.spec.subscription_id;
        let subscription = live(&transaction, &self.keyring, &replay.tenant, subscription).await?;
        let mut begun = 0;
        let mut rescheduled = Vec::new();
        for event in events {
            let made = self.begin(&transaction, &replay, &subscription, *event, advance.now);
            match made.await? {
                Made::Nothing => {}
                Made::Counted => begun += 1,
                Made::Begun(delivery) => {
                    begun += 1;
                    rescheduled.push(Rescheduled {
                        delivery_id: delivery.id,
                        subscription_id: delivery.subscription_id,
                        trigger: delivery.trigger,
                        due: delivery.due,
                    });
                }
            }
        }
        let replay = replay.advanced(begun, advance.up_to, advance.now);
        put(&transaction, &replay).await?;
        transaction.commit().await.map_err(from_pg)?;
        Ok((replay, rescheduled))
    }

    /// See [`crate::storage::Replays::change_replay`].
    pub(super) async fn change_replay(
        &self,
        tenant: &TenantId,
        id: ReplayId,
        change: ReplayChange,
        now: Timestamp,
    ) -> Result<Replay> {
        let mut client = self.own_connection().await?;
        let transaction = client.transaction().await.map_err(from_pg)?;
        let before = hold(&transaction, tenant, id).await?;
        let changed = change.of(&before, now)?;
        put(&transaction, &changed).await?;
        transaction.commit().await.map_err(from_pg)?;
        self.note_reached();
        Ok(changed)
    }

    async fn begin(
        &self,
        transaction: &Transaction<'_>,
        replay: &Replay,
        subscription: &Subscription,
        id: EventId,
        now: Timestamp,
    ) -> Result<Made> {
        let Some(mut event) = event(transaction, &replay.tenant, id).await? else {
            return Ok(Made::Nothing);
        };
        if event.event.is_erased() {
            return Ok(Made::Nothing);
        }
        let found = match ordinal_of(&event.subscriptions, subscription.id) {
            Some(ordinal) => {
                let id = DeliveryId::new(id, ordinal);
                locked(transaction, &replay.tenant, id).await?
            }
            None => None,
        };
        let found = found.map(|row| {
            let (_, stored) = row::delivery(&row)?;
            Ok::<_, Error>((stored.due, self.shown(&row, stored)))
        });
        let found = found.transpose()?;
        let known = found.as_ref().map(|(_, delivery)| delivery);
        match replay.step(subscription, &event.event.event_type, known) {
            ReplayStep::Leave => return Ok(Made::Nothing),
            ReplayStep::Count => return Ok(Made::Counted),
            ReplayStep::Begin => {}
        }
        if let Some((was_due, before)) = found {
            let Ok(delivery) = replay.again(&before, now) else {
                return Ok(Made::Nothing);
            };
            update(transaction, &delivery).await?;
            requeue(transaction, &delivery, was_due).await?;
            return Ok(Made::Begun(delivery));
        }
        let Some(ordinal) = event.add(subscription.id) else {
            return Ok(Made::Nothing);
        };
        let delivery = replay.first(&event.event, ordinal, now);
        put_event(transaction, &event).await?;
        insert(transaction, &replay.tenant, &delivery).await?;
        requeue(transaction, &delivery, None).await?;
        Ok(Made::Begun(delivery))
    }
}

/// Reads a replay and keeps others from changing it.
async fn hold(transaction: &Transaction<'_>, tenant: &TenantId, id: ReplayId) -> Result<Replay> {
    let statement = transaction
        .prepare_cached(
            "SELECT id, tenant, content FROM replay WHERE id = $1 AND tenant = $2 FOR UPDATE",
        )
        .await
        .map_err(from_pg)?;
    let row = transaction
        .query_opt(&statement, &[&from_replay(id), &tenant.as_str()])
        .await
        .map_err(from_pg)?;
    replay(&row.ok_or(Error::NotFound(Resource::Replay(id)))?)
}

async fn put(transaction: &Transaction<'_>, replay: &Replay) -> Result<()> {
    let statement = transaction
        .prepare_cached("UPDATE replay SET is_running = $2, content = $3 WHERE id = $1")
        .await
        .map_err(from_pg)?;
    let is_running = replay.state == ReplayState::Running;
    let content = write_replay(replay);
    let stored = transaction
        .execute(
            &statement,
            &[&from_replay(replay.id), &is_running, &content],
        )
        .await;
    stored.map(|_| ()).map_err(from_pg)
}

/// A subscription that is not deleted.
async fn live(
    transaction: &Transaction<'_>,
    keyring: &Keyring,
    tenant: &TenantId,
    id: SubscriptionId,
) -> Result<Subscription> {
    let statement = transaction
        .prepare_cached(
            "SELECT content FROM subscription
             WHERE id = $1 AND tenant = $2 AND content IS NOT NULL",
        )
        .await
        .map_err(from_pg)?;
    let row = transaction
        .query_opt(&statement, &[&from_subscription(id), &tenant.as_str()])
        .await
        .map_err(from_pg)?;
    let row = row.ok_or(Error::NotFound(Resource::Subscription(id)))?;
    let read = read_subscription(tenant.clone(), id, row.get("content"), keyring);
    read.map_err(unreadable("subscription"))
}

/// Reads an event and keeps other replays from adding deliveries to it.
async fn event(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    id: EventId,
) -> Result<Option<EventRow>> {
    let table = days::name("event", Day::of_event(id));
    let sql = format!("SELECT content FROM {table} WHERE tenant = $1 AND id = $2 FOR UPDATE");
    let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
    let row = transaction
        .query_opt(&statement, &[&tenant.as_str(), &from_event(id)])
        .await
        .map_err(from_pg)?;
    let read = row.map(|row| row::event(tenant.clone(), id, row.get("content")));
    read.transpose()
}

async fn put_event(transaction: &Transaction<'_>, row: &EventRow) -> Result<()> {
    let table = days::name("event", Day::of_event(row.event.id));
    let sql = format!("UPDATE {table} SET content = $3 WHERE tenant = $1 AND id = $2");
    let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
    let (tenant, id) = (row.event.tenant.as_str(), from_event(row.event.id));
    let stored = transaction
        .execute(&statement, &[&tenant, &id, &row.to_bytes()])
        .await;
    stored.map(|_| ()).map_err(from_pg)
}

async fn insert(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    delivery: &Delivery,
) -> Result<()> {
    let table = days::name("delivery", Day::of_delivery(delivery.id));
    let sql = format!(
        "INSERT INTO {table} (id, tenant, subscription, event_type, state, trigger,
             attempt_count, chain_start, revision, chain_time, due, create_time, update_time,
             ordering_key)
         VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, $7, $8, $9, $9, $10)"
    );
    let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
    let inserted = transaction
        .execute(
            &statement,
            &[
                &from_delivery(delivery.id),
                &tenant.as_str(),
                &from_subscription(delivery.subscription_id),
                &delivery.event_type.as_str(),
                &i16::from(code::from_state(delivery.state)),
                &i16::from(code::from_trigger(delivery.trigger)),
                &from_time(delivery.chain_time),
                &delivery.due.map(from_time),
                &from_time(delivery.create_time),
                &delivery.ordering_key.as_deref().map(str::as_bytes),
            ],
        )
        .await;
    inserted.map(|_| ()).map_err(from_pg)
}
