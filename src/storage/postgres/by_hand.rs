//! Changes of deliveries by hand.

use tokio_postgres::Row;

use super::{
    connect::Connection,
    days,
    error::{from_pg, is_no_table},
    log::IS_LIVE,
    row::{self, DELIVERY, from_count, from_delivery, from_event, from_subscription, from_time},
    state::State,
};
use crate::{
    domain::{Delivery, DeliveryId, NotChangeable, TenantId, Timestamp},
    storage::{DeliveryChange, Error, Hint, Rescheduled, Resource, Result, day::Day, row::code},
};

impl State {
    /// Changes a delivery and tells the owner of its queue.
    pub(super) async fn change_delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
        change: DeliveryChange,
        now: Timestamp,
    ) -> Result<Delivery> {
        let mut client = self.connection().await?;
        if !self.has_day(&client, Day::of_delivery(id)).await? {
            return Err(Error::NotFound(Resource::Delivery(id)));
        }
        let changed = self.change(&mut client, tenant, id, change, now).await;
        let changed = changed.inspect_err(|error| self.note(error))?;
        self.note_reached();
        self.tell_rescheduled(std::slice::from_ref(&changed));
        Ok(changed)
    }

    /// Tells the owners of queues that deliveries in them were changed.
    pub(super) fn tell_rescheduled(&self, changed: &[Delivery]) {
        let is_own = |delivery: &&Delivery| self.ownership.owns(delivery.subscription_id);
        let (own, foreign): (Vec<_>, Vec<_>) = changed.iter().partition(is_own);
        if !own.is_empty() {
            let rescheduled = own.into_iter().map(|delivery| Rescheduled {
                delivery_id: delivery.id,
                subscription_id: delivery.subscription_id,
                trigger: delivery.trigger,
                due: delivery.due,
            });
            self.announce(Hint {
                rescheduled: rescheduled.collect(),
                ..Hint::default()
            });
        }
        if !foreign.is_empty() {
            self.nudge.tell();
        }
    }

    /// The row is locked, so an attempt that ends meanwhile is recorded before
    /// or after, and sees the revision that this leaves.
    async fn change(
        &self,
        client: &mut Connection,
        tenant: &TenantId,
        id: DeliveryId,
        change: DeliveryChange,
        now: Timestamp,
    ) -> Result<Delivery> {
        let transaction = client.transaction().await.map_err(from_pg)?;
        let row = locked(&transaction, tenant, id).await?;
        let row = row.ok_or(Error::NotFound(Resource::Delivery(id)))?;
        let (_, stored) = row::delivery(&row)?;
        let was_due = stored.due;
        let before = self.shown(&row, stored);
        let subscription = before.subscription_id;
        if change == DeliveryChange::Retry && !row.get::<_, bool>("is_live") {
            return Err(Error::NotFound(Resource::Subscription(subscription)));
        }
        // Whoever erases the event locks its deliveries, too, once it is erased.
        if change == DeliveryChange::Retry && is_erased(&transaction, tenant, id).await? {
            return Err(NotChangeable::PayloadErased.into());
        }
        let after = match change {
            DeliveryChange::Retry => before.retried(now)?,
            DeliveryChange::Cancel => before.cancelled(now)?,
        };
        put(&transaction, &after, was_due).await?;
        transaction.commit().await.map_err(from_pg)?;
        Ok(after)
    }
}

pub(super) type Transaction<'a> = deadpool_postgres::Transaction<'a>;

/// Reads a delivery and keeps others from changing it. The day may have been
/// dropped just now.
pub(super) async fn locked(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    id: DeliveryId,
) -> Result<Option<Row>> {
    let table = days::name("delivery", Day::of_delivery(id));
    let sql = format!(
        "SELECT {DELIVERY}, {IS_LIVE} FROM {table} d
         WHERE d.id = $1 AND d.tenant = $2 FOR UPDATE OF d"
    );
    let row = async {
        let statement = transaction.prepare_cached(&sql).await?;
        transaction
            .query_opt(&statement, &[&from_delivery(id), &tenant.as_str()])
            .await
    };
    match row.await {
        Err(error) if is_no_table(&error) => Ok(None),
        row => row.map_err(from_pg),
    }
}

/// Whether the event of a delivery is erased.
async fn is_erased(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    id: DeliveryId,
) -> Result<bool> {
    let table = days::name("event", Day::of_delivery(id));
    let sql =
        format!("SELECT FROM {table} WHERE tenant = $1 AND id = $2 AND erase_time IS NOT NULL");
    let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
    let event = from_event(id.event_id());
    let row = transaction
        .query_opt(&statement, &[&tenant.as_str(), &event])
        .await;
    Ok(row.map_err(from_pg)?.is_some())
}

/// Writes a delivery that is locked, and moves it in its queue from where it was.
pub(super) async fn put(
    transaction: &Transaction<'_>,
    delivery: &Delivery,
    was_due: Option<Timestamp>,
) -> Result<()> {
    update(transaction, delivery).await?;
    if was_due != delivery.due {
        requeue(transaction, delivery, was_due).await?;
    }
    Ok(())
}

pub(super) async fn update(transaction: &Transaction<'_>, delivery: &Delivery) -> Result<()> {
    let table = days::name("delivery", Day::of_delivery(delivery.id));
    let sql = format!(
        "UPDATE {table}
         SET state = $2, trigger = $3, chain_start = $4, chain_time = $5, due = $6,
             revision = $7, update_time = $8
         WHERE id = $1"
    );
    let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
    let updated = transaction
        .execute(
            &statement,
            &[
                &from_delivery(delivery.id),
                &i16::from(code::from_state(delivery.state)),
                &i16::from(code::from_trigger(delivery.trigger)),
                &from_count(delivery.chain_start),
                &from_time(delivery.chain_time),
                &delivery.due.map(from_time),
                &from_count(delivery.revision),
                &from_time(delivery.update_time),
            ],
        )
        .await;
    updated.map(|_| ()).map_err(from_pg)
}

/// Moves a delivery from its place in the queue to where it is due now.
pub(super) async fn requeue(
    transaction: &Transaction<'_>,
    delivery: &Delivery,
    was_due: Option<Timestamp>,
) -> Result<()> {
    let subscription = from_subscription(delivery.subscription_id);
    let id = from_delivery(delivery.id);
    let places = [
        (
            was_due,
            "DELETE FROM ready WHERE subscription = $1 AND due = $2 AND delivery = $3",
        ),
        (
            delivery.due,
            "INSERT INTO ready (subscription, due, delivery) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        ),
    ];
    for (due, sql) in places {
        let Some(due) = due else {
            continue;
        };
        let statement = transaction.prepare_cached(sql).await.map_err(from_pg)?;
        transaction
            .execute(&statement, &[&subscription, &from_time(due), &id])
            .await
            .map_err(from_pg)?;
    }
    Ok(())
}
