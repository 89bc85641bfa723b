//! Restores what an export of any engine read: the same rows as if it had
//! happened here, in one transaction.

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::{
    days,
    error::from_pg,
    import_rows::{DayRows, Rows},
    row::from_time,
    state::State,
    stats,
    tail::from_position,
};
use crate::{
    domain::Keyring,
    storage::{Copying, LogPosition, Result, Stored, day::Day, row::write_copying},
};

/// Keeps others from importing: one whose command was killed may still be at it,
/// and of its attempts nothing is seen before it ends.
const LOCK: &str = "SELECT FROM log FOR UPDATE";

/// New positions come after the last one that was imported, and that one is
/// below the boundary up to which the log is read, whoever else has transactions
/// open in other databases of the cluster.
const RAISE: &str = "WITH oldest AS (
         SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 10 AS position
     )
     UPDATE log SET base = $1 + 1 - oldest.position FROM oldest
     WHERE $1 >= log.base + oldest.position";

impl State {
    /// See [`crate::storage::Transfer::import`].
    pub(super) async fn import(&self, records: &[Stored]) -> Result<()> {
        let imported = self.import_rows(&Rows::of(records)).await;
        imported.inspect_err(|error| self.note(error))?;
        self.note_reached();
        self.nudge.look();
        Ok(())
    }

    async fn import_rows(&self, rows: &Rows<'_>) -> Result<()> {
        let mut client = self.connection().await?;
        for day in rows.days.keys() {
            self.days.ensure(&mut client, *day).await?;
        }
        let transaction = client.transaction().await.map_err(from_pg)?;
        run(&transaction, LOCK, &[]).await?;
        catalog(&transaction, rows, &self.keyring).await?;
        for (day, rows) in &rows.days {
            events(&transaction, *day, rows).await?;
            deliveries(&transaction, *day, rows).await?;
            attempts(&transaction, *day, rows).await?;
        }
        if rows.last > LogPosition::default() {
            run(&transaction, RAISE, &[&from_position(rows.last)]).await?;
        }
        transaction.commit().await.map_err(from_pg)
    }

    /// See [`crate::storage::Transfer::note_copy`].
    pub(super) async fn note_copy(&self, copy: Option<&Copying>) -> Result<()> {
        let noted = async {
            let client = self.connection().await?;
            let Some(copy) = copy else {
                let removed = client.execute("DELETE FROM copying", &[]).await;
                return removed.map(|_| ()).map_err(from_pg);
            };
            let sql = "INSERT INTO copying (content) VALUES ($1)
                       ON CONFLICT (singleton) DO UPDATE SET content = excluded.content";
            let noted = client.execute(sql, &[&write_copying(copy)]).await;
            noted.map(|_| ()).map_err(from_pg)
        };
        noted.await.inspect_err(|error| self.note(error))
    }
}

/// What belongs to no day. Who knows a tenant by an older version reads it anew.
async fn catalog(transaction: &Transaction<'_>, rows: &Rows<'_>, keyring: &Keyring) -> Result<()> {
    let raise = "INSERT INTO tenant (id, version) SELECT id, 1 FROM unnest($1::text[]) AS n (id)
         ON CONFLICT (id) DO UPDATE SET version = tenant.version + 1";
    run(transaction, raise, &[&rows.tenants()]).await?;
    let sql = "INSERT INTO subscription (id, tenant, version, content, changed)
         SELECT n.*, pg_current_xact_id()
         FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bytea[]) AS n
         ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant, version = excluded.version,
             content = excluded.content, changed = excluded.changed";
    run(transaction, sql, &rows.subscriptions(keyring).parameters()).await?;
    let sql = "INSERT INTO request (tenant, name, create_time, content)
         SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bytea[])
         ON CONFLICT (tenant, name) DO UPDATE SET
             create_time = excluded.create_time, content = excluded.content";
    run(transaction, sql, &rows.requests(keyring).parameters()).await?;
    let sql = "INSERT INTO replay (id, tenant, is_running, content)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::bytea[])
         ON CONFLICT (id) DO UPDATE SET
             is_running = excluded.is_running, content = excluded.content";
    run(transaction, sql, &rows.replays().parameters()).await?;
    let sql = "INSERT INTO api_key (id, tenant, content)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[])
         ON CONFLICT (id) DO UPDATE SET content = excluded.content";
    run(transaction, sql, &rows.api_keys().parameters()).await?;
    if let Some((before, last)) = rows.removed {
        let sql = "UPDATE log SET removed_before = greatest(removed_before, $1),
                       removed_position = greatest(removed_position, $2)";
        let removed: [&(dyn ToSql + Sync); 2] = [&from_time(before), &from_position(last)];
        run(transaction, sql, &removed).await?;
    }
    Ok(())
}

async fn events(transaction: &Transaction<'_>, day: Day, rows: &DayRows<'_>) -> Result<()> {
    let (event, idempotency) = (days::name("event", day), days::name("idempotency", day));
    let sql = format!(
        "INSERT INTO {event} (tenant, id, content, body, erase_time)
         SELECT * FROM unnest($1::text[], $2::uuid[], $3::bytea[], $4::bytea[], $5::bigint[])
         ON CONFLICT (tenant, id) DO UPDATE SET content = excluded.content,
             body = excluded.body, erase_time = excluded.erase_time"
    );
    run(transaction, &sql, &rows.events().parameters()).await?;
    let sql = format!(
        "INSERT INTO {idempotency} (tenant, name, event, content)
         SELECT * FROM unnest($1::text[], $2::bytea[], $3::uuid[], $4::bytea[])
         ON CONFLICT (tenant, name, event) DO UPDATE SET content = excluded.content"
    );
    run(transaction, &sql, &rows.keys().parameters()).await
}

/// The place in the queue follows from the delivery: that of a delivery that was
/// imported before goes first.
async fn deliveries(transaction: &Transaction<'_>, day: Day, rows: &DayRows<'_>) -> Result<()> {
    let delivery = days::name("delivery", day);
    let leave = format!(
        "DELETE FROM ready q USING unnest($1::uuid[]) AS n (id), {delivery} d
         WHERE d.id = n.id
             AND q.subscription = d.subscription AND q.due = d.due AND q.delivery = d.id"
    );
    run(transaction, &leave, &[&rows.delivery_ids()]).await?;
    let put = format!(
        "INSERT INTO {delivery} (id, tenant, subscription, event_type, state, trigger,
             attempt_count, chain_start, chain_time, due, error_kind, response_status, revision,
             create_time, update_time, ordering_key)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::smallint[],
             $6::smallint[], $7::integer[], $8::integer[], $9::bigint[], $10::bigint[],
             $11::smallint[], $12::integer[], $13::integer[], $14::bigint[], $15::bigint[],
             $16::bytea[])
         ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant,
             subscription = excluded.subscription, event_type = excluded.event_type,
             state = excluded.state, trigger = excluded.trigger,
             attempt_count = excluded.attempt_count, chain_start = excluded.chain_start,
             chain_time = excluded.chain_time, due = excluded.due,
             error_kind = excluded.error_kind, response_status = excluded.response_status,
             revision = excluded.revision, create_time = excluded.create_time,
             update_time = excluded.update_time, ordering_key = excluded.ordering_key"
    );
    run(transaction, &put, &rows.deliveries().parameters()).await?;
    let queue = "INSERT INTO ready (subscription, due, delivery)
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[]) ON CONFLICT DO NOTHING";
    run(transaction, queue, &rows.places().parameters()).await
}

/// Positions are no unique key of the table, so what is there goes first.
async fn attempts(transaction: &Transaction<'_>, day: Day, rows: &DayRows<'_>) -> Result<()> {
    let attempt = days::name("attempt", day);
    let leave = format!(
        "DELETE FROM {attempt} a USING unnest($1::bigint[]) AS n (position)
         WHERE a.position = n.position RETURNING a.content"
    );
    let mut counted = stats::counted(transaction, &leave, &rows.positions(), -1).await?;
    rows.count(&mut counted);
    stats::add(transaction, day, &counted).await?;
    let put = format!(
        "INSERT INTO {attempt} (position, delivery, id, recorded, next_attempt_time, content)
         SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[],
             $6::bytea[])"
    );
    run(transaction, &put, &rows.attempts().parameters()).await
}

async fn run(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<()> {
    let statement = transaction.prepare_cached(sql).await.map_err(from_pg)?;
    let done = transaction.execute(&statement, parameters).await;
    done.map(|_| ()).map_err(from_pg)
}
