//! How much there is of everything, by reading all of it.

use std::collections::HashMap;

use deadpool_postgres::Transaction;

use super::{
    api_key::api_key,
    days::{self, TABLES},
    error::from_pg,
    migrate::schema_version,
    state::State,
};
use crate::storage::{Counts, DayCounts, Result, Totals, day::Day};

/// Reading all of a table takes its time, and an index is no help.
const PATIENCE: &str = "SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on";

/// An id begins with the milliseconds since 1970.
const DUE: &str = "SELECT ('x' || left(translate(delivery::text, '-', ''), 12))::bit(48)::bigint
         / 86400000 AS day, count(*) AS count
     FROM ready GROUP BY 1";

impl State {
    /// See [`crate::storage::Transfer::counts`].
    pub(super) async fn counts(&self) -> Result<Counts> {
        let mut client = self.connection().await?;
        let all = self.days.refresh(&client).await?;
        let transaction = client.transaction().await.map_err(from_pg)?;
        transaction.batch_execute(PATIENCE).await.map_err(from_pg)?;
        let mut totals = catalog(&transaction).await?;
        let due = due_by_day(&transaction).await?;
        totals.due = due.values().sum();
        let mut days = Vec::new();
        for day in all {
            let counts = DayCounts {
                due: due.get(&day).copied().unwrap_or_default(),
                ..of_day(&transaction, day).await?
            };
            totals.events += counts.events;
            totals.erased += counts.erased;
            totals.deliveries += counts.deliveries;
            totals.attempts += counts.attempts;
            totals.idempotency_keys += counts.idempotency_keys;
            days.push(counts);
        }
        Ok(Counts {
            format: format(&transaction).await?,
            totals,
            days,
            free: None,
        })
    }
}

async fn catalog(transaction: &Transaction<'_>) -> Result<Totals> {
    let sql = "SELECT count(*) AS subscriptions, coalesce(sum(version), 0)::bigint AS versions,
                   (SELECT count(*) FROM request) AS requests
               FROM subscription WHERE content IS NOT NULL";
    let row = transaction.query_one(sql, &[]).await.map_err(from_pg)?;
    let count = |name| row.get::<_, i64>(name).unsigned_abs();
    let keys = transaction
        .query("SELECT id, content FROM api_key", &[])
        .await
        .map_err(from_pg)?;
    let revoked = keys.iter().filter(|row| {
        let key = api_key(row);
        key.is_ok_and(|key| key.revoke_time.is_some())
    });
    Ok(Totals {
        subscriptions: count("subscriptions"),
        subscription_versions: count("versions"),
        requests: count("requests"),
        api_keys: keys.len() as u64,
        revoked_api_keys: revoked.count() as u64,
        ..Totals::default()
    })
}

async fn due_by_day(transaction: &Transaction<'_>) -> Result<HashMap<Day, u64>> {
    let rows = transaction.query(DUE, &[]).await.map_err(from_pg)?;
    let days = rows.iter().map(|row| {
        let number = |name| row.get::<_, i64>(name).unsigned_abs();
        (Day::from_number(number("day")), number("count"))
    });
    Ok(days.collect())
}

async fn of_day(transaction: &Transaction<'_>, day: Day) -> Result<DayCounts> {
    let tables = TABLES.map(|(table, _)| days::name(table, day));
    let counts = tables
        .each_ref()
        .map(|table| format!("(SELECT count(*) FROM {table})"));
    let erased = format!(
        "(SELECT count(erase_time) FROM {})",
        days::name("event", day)
    );
    let sizes = tables.map(|table| format!("pg_total_relation_size('{table}')"));
    let sql = format!(
        "SELECT {}, {erased}, {}",
        counts.join(", "),
        sizes.join(" + ")
    );
    let row = transaction.query_one(&sql, &[]).await.map_err(from_pg)?;
    let number = |column: usize| row.get::<_, i64>(column).unsigned_abs();
    Ok(DayCounts {
        day: day.start(),
        events: number(0),
        erased: number(5),
        deliveries: number(1),
        due: 0,
        attempts: number(2),
        idempotency_keys: number(3),
        bytes: number(6),
        at_rest: false,
    })
}

async fn format(transaction: &Transaction<'_>) -> Result<String> {
    let sql = "SELECT current_setting('server_version_num')::integer / 10000";
    let row = transaction.query_one(sql, &[]).await.map_err(from_pg)?;
    let server: i32 = row.get(0);
    Ok(format!("PostgreSQL {server}, schema {}", schema_version()))
}
