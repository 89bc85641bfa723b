//! Erasure: rows of events and attempts are replaced by what stays of them, some
//! events in a transaction. The old rows are dead then, and a vacuum makes what
//! they took free to be written over.
//!
//! An event is locked first, then its deliveries, due or not: whoever retries
//! one at the same time sees the event erased, or is seen here.

use std::collections::{BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    by_hand,
    connect::Connection,
    days,
    error::{from_pg, is_no_table, malformed},
    rebuild::rebuild,
    row::{self, DELIVERY, from_delivery, from_event, from_time, to_event_id},
    state::State,
    store::Store,
    walk::Walk,
};
use crate::{
    domain::{Delivery, DeliveryFilter, Erasure, EventId, Reach, TenantId, Timestamp},
    storage::{
        Erase, Erased, Error, Resource, Result,
        day::Day,
        row::{EventRow, IdempotencyRow, read_attempt, write_attempt},
        walk::Place,
    },
};

/// Events that are erased by one transaction.
const EVENTS: usize = 64;

#[async_trait]
impl Erase for Store {
    async fn erase(&self, tenant: &TenantId, what: Erasure, now: Timestamp) -> Result<Erased> {
        let erased = self.state.erase(tenant, what, now).await;
        erased.inspect_err(|error| self.state.note(error))
    }
}

impl State {
    async fn erase(&self, tenant: &TenantId, what: Erasure, now: Timestamp) -> Result<Erased> {
        let mut client = self.connection().await?;
        let mut erased = Erased::default();
        let mut touched = BTreeSet::new();
        let mut from = None;
        loop {
            let (events, next) = self.erasable(&client, tenant, what, from).await?;
            for (day, events) in by_day(events) {
                let call = Erasing { tenant, what, now };
                let (more, cancelled) = call.erase(&mut client, day, &events).await?;
                if more != Erased::default() {
                    touched.insert(day);
                }
                erased += more;
                self.note_reached();
                self.tell_rescheduled(&cancelled);
            }
            if next.is_none() {
                break;
            }
            from = next;
        }
        for day in touched {
            vacuum(&client, day).await;
        }
        Ok(erased)
    }

    /// The next events that an erasure is about, and where to go on.
    pub(super) async fn erasable(
        &self,
        client: &Connection,
        tenant: &TenantId,
        what: Erasure,
        from: Option<Place>,
    ) -> Result<(Vec<EventId>, Option<Place>)> {
        let mut events = Vec::new();
        let mut walk = match what {
            Erasure::Event(id) => {
                self.expect_event(client, tenant, id).await?;
                return Ok((vec![id], None));
            }
            Erasure::Accepted(range) => Walk::new(self, client, tenant, range, from),
            Erasure::Subscription(id) => {
                let filter = DeliveryFilter {
                    subscription_id: Some(id),
                    ..DeliveryFilter::default()
                };
                Walk::filtered(self, client, tenant, &filter, from).await?
            }
        };
        while events.len() < EVENTS && !walk.is_spent() {
            let next = match what {
                Erasure::Subscription(_) => {
                    let delivery = walk.next_delivery().await?;
                    delivery.map(|delivery| delivery.id.event_id())
                }
                Erasure::Event(_) | Erasure::Accepted(_) => {
                    let passed = walk.next_event().await?;
                    passed.map(|passed| passed.id)
                }
            };
            let Some(id) = next else {
                return Ok((events, walk.rest()));
            };
            events.push(id);
        }
        Ok((events, walk.place()))
    }

    async fn expect_event(
        &self,
        client: &Connection,
        tenant: &TenantId,
        id: EventId,
    ) -> Result<()> {
        let sql = "SELECT FROM event WHERE tenant = $1 AND id = $2";
        let statement = client.prepare_cached(sql).await.map_err(from_pg)?;
        let found = client
            .query_opt(&statement, &[&tenant.as_str(), &from_event(id)])
            .await;
        match found.map_err(from_pg)? {
            Some(_) => Ok(()),
            None => Err(Error::NotFound(Resource::Event(id))),
        }
    }
}

/// What is to be erased by one transaction.
struct Erasing<'a> {
    tenant: &'a TenantId,
    what: Erasure,
    now: Timestamp,
}

impl Erasing<'_> {
    /// Erases events of a day, all or none, and returns the deliveries that were
    /// cancelled.
    async fn erase(
        &self,
        client: &mut Connection,
        day: Day,
        events: &[EventId],
    ) -> Result<(Erased, Vec<Delivery>)> {
        let transaction = client.transaction().await.map_err(from_pg)?;
        let rows = match lock_events(&transaction, day, self.tenant, events).await {
            // The day was dropped just now.
            Err(error) if is_no_table(&error) => return Ok(Default::default()),
            rows => rows.map_err(from_pg)?,
        };
        let mut erased = Erased::default();
        let (mut whole, mut sent) = (Vec::new(), Vec::new());
        for row in rows {
            let id = to_event_id(row.get("id"));
            let row = EventRow::read(self.tenant.clone(), id, row.get("content"));
            let row = match row {
                Ok(row) => row,
                Err(_) => rebuild(&transaction, day, self.tenant, id).await?,
            };
            let reach = self.what.reach(&row.subscriptions);
            let deliveries = id.deliveries(&row.subscriptions);
            let reached = deliveries.filter(|(_, subscription)| match reach {
                Reach::Whole => true,
                Reach::Attempts(only) => only == *subscription,
            });
            sent.extend(reached.map(|(id, _)| from_delivery(id)));
            match reach {
                Reach::Whole => whole.push(row),
                Reach::Attempts(_) => erased.shared += 1,
            }
        }
        erased.events = whole.len() as u64;
        self.put_events(&transaction, day, &whole).await?;
        let cancelled = self.cancel(&transaction, day, &whole).await?;
        erased.cancelled = cancelled.len() as u64;
        erased.attempts = erase_attempts(&transaction, day, &sent).await?;
        transaction.commit().await.map_err(from_pg)?;
        Ok((erased, cancelled))
    }

    async fn put_events(
        &self,
        transaction: &Transaction<'_>,
        day: Day,
        whole: &[EventRow],
    ) -> Result<()> {
        let (event, idempotency) = (days::name("event", day), days::name("idempotency", day));
        let erased = whole.iter().map(|row| {
            let event = row.event.clone().erased(self.now);
            let content = EventRow::write(&event, &row.subscriptions);
            let key = IdempotencyRow::of(&event, row.subscriptions.len());
            (from_event(event.id), content, key.write())
        });
        let (mut ids, mut contents, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (id, content, key) in erased {
            ids.push(id);
            contents.push(content);
            keys.push(key);
        }
        let sql = format!(
            "WITH n AS MATERIALIZED (
                 SELECT * FROM unnest($2::uuid[], $3::bytea[], $4::bytea[]) AS n (id, content, key)
             ), keys AS (
                 UPDATE {idempotency} i SET content = n.key FROM n
                 WHERE i.tenant = $1 AND i.event = n.id
             )
             UPDATE {event} e SET content = n.content, body = NULL, erase_time = $5 FROM n
             WHERE e.tenant = $1 AND e.id = n.id"
        );
        let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
        let tenant = self.tenant.as_str();
        let put = transaction
            .execute(
                &statement,
                &[&tenant, &ids, &contents, &keys, &from_time(self.now)],
            )
            .await;
        put.map(|_| ()).map_err(from_pg)
    }

    /// Cancels the deliveries of events that are not settled.
    async fn cancel(
        &self,
        transaction: &Transaction<'_>,
        day: Day,
        whole: &[EventRow],
    ) -> Result<Vec<Delivery>> {
        let ids = whole.iter().flat_map(|row| {
            let deliveries = row.event.id.deliveries(&row.subscriptions);
            deliveries.map(|(id, _)| from_delivery(id))
        });
        let sql = format!(
            "SELECT {DELIVERY} FROM {} d WHERE d.id = ANY($1) ORDER BY d.id FOR UPDATE",
            days::name("delivery", day)
        );
        let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
        let rows = transaction
            .query(&statement, &[&ids.collect::<Vec<Uuid>>()])
            .await
            .map_err(from_pg)?;
        let mut all = Vec::new();
        for row in &rows {
            let (_, delivery) = row::delivery(row)?;
            if let Ok(cancelled) = delivery.cancelled(self.now) {
                by_hand::put(transaction, &cancelled, delivery.due).await?;
                all.push(cancelled);
            }
        }
        Ok(all)
    }
}

/// Reads events that are not erased yet and keeps others from erasing them.
async fn lock_events(
    transaction: &Transaction<'_>,
    day: Day,
    tenant: &TenantId,
    events: &[EventId],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let sql = format!(
        "SELECT id, content FROM {} WHERE tenant = $1 AND id = ANY($2) AND erase_time IS NULL
         ORDER BY id FOR UPDATE",
        days::name("event", day)
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let events: Vec<Uuid> = events.iter().copied().map(from_event).collect();
    let of_tenant = tenant.as_str();
    transaction.query(&statement, &[&of_tenant, &events]).await
}

/// Erases the attempts of deliveries; returns how many there were.
async fn erase_attempts(
    transaction: &Transaction<'_>,
    day: Day,
    of_deliveries: &[Uuid],
) -> Result<u64> {
    let attempt = days::name("attempt", day);
    let sql = format!("SELECT id, delivery, content FROM {attempt} WHERE delivery = ANY($1)");
    let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
    let rows = transaction.query(&statement, &[&of_deliveries]).await;
    let rows = rows.map_err(from_pg)?;
    let (mut of, mut deliveries, mut contents) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let content = row.get::<_, &[u8]>("content");
        let read = read_attempt(content).map_err(malformed("attempt"))?;
        let erased = write_attempt(&read.erased());
        if erased != content {
            of.push(row.get::<_, Uuid>("id"));
            deliveries.push(row.get::<_, Uuid>("delivery"));
            contents.push(erased);
        }
    }
    let sql = format!(
        "UPDATE {attempt} a SET content = n.content
         FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) AS n (id, delivery, content)
         WHERE a.delivery = n.delivery AND a.id = n.id"
    );
    let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
    let put = transaction
        .execute(&statement, &[&of, &deliveries, &contents])
        .await;
    put.map_err(from_pg)
}

/// Which of these deliveries are of an event that was erased. The event of no
/// other is erased before this transaction ends.
pub(super) async fn erased_of(
    transaction: &Transaction<'_>,
    day: Day,
    deliveries: &[Uuid],
) -> Result<HashSet<Uuid>, tokio_postgres::Error> {
    let (delivery, event) = (days::name("delivery", day), days::name("event", day));
    // Whoever erases an event locks it first, so what is read here is what that
    // left; a condition would be held to what was before.
    let sql = format!(
        "SELECT d.id, e.erase_time IS NOT NULL AS erased FROM {delivery} d
         JOIN {event} e ON e.tenant = d.tenant AND e.id = (left(d.id::text, 32) || '0000')::uuid
         WHERE d.id = ANY($1) ORDER BY d.id FOR SHARE OF e"
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let rows = transaction.query(&statement, &[&deliveries]).await?;
    let erased = rows.iter().filter(|row| row.get("erased"));
    Ok(erased.map(|row| row.get("id")).collect())
}

/// Makes the room of erased rows free to be written over. Who uses the tables
/// goes on; where this fails, the database does it by itself in time.
pub(super) async fn vacuum(client: &Connection, day: Day) {
    let tables = days::TABLES.map(|(table, _)| days::name(table, day));
    let vacuum = format!("VACUUM {}", tables.join(", "));
    // Each by itself, since a vacuum stands in no transaction.
    for statement in [
        "SET statement_timeout = 0",
        &vacuum,
        "RESET statement_timeout",
    ] {
        if let Err(error) = client.batch_execute(statement).await {
            tracing::warn!(%day, %error, "rows that were erased are left to autovacuum");
        }
    }
}

pub(super) fn by_day(events: Vec<EventId>) -> HashMap<Day, Vec<EventId>> {
    let mut days = HashMap::<Day, Vec<EventId>>::new();
    for id in events {
        days.entry(Day::of_event(id)).or_default().push(id);
    }
    days
}
