//! Partitions by day: a table of events, deliveries, attempts, idempotency keys
//! and counts for each. Hot statements name the day's tables themselves, which spares
//! them the look at all the others.

use std::collections::BTreeSet;

use parking_lot::RwLock;
use uuid::Uuid;

use super::{
    connect::{Connection, SCHEMA},
    error::from_pg,
};
use crate::{
    domain::Timestamp,
    storage::{Result, day::Day, walk},
};

/// The tables that have a partition for each day, and how full their pages are
/// made: a delivery changes in place if there is room for it.
pub(super) const TABLES: [(&str, u32); 5] = [
    ("event", 100),
    ("delivery", 60),
    ("attempt", 100),
    ("idempotency", 100),
    ("stats", 60),
];

/// The class of the advisory locks under which partitions come and go.
pub(super) const LOCK: i32 = 0x7072_6401;

/// The days that are known to have partitions.
#[derive(Debug, Default)]
pub(super) struct Days(RwLock<BTreeSet<Day>>);

impl Days {
    /// Whether there are partitions of a day. Another process may have made or
    /// dropped them: `refresh` tells.
    pub(super) fn contains(&self, day: Day) -> bool {
        self.0.read().contains(&day)
    }

    /// Looks which days there are, oldest first.
    pub(super) async fn refresh(&self, client: &Connection) -> Result<Vec<Day>> {
        let statement = client
            .prepare_cached(
                "SELECT substring(c.relname FROM 7) FROM pg_class c
                 JOIN pg_inherits i ON i.inhrelid = c.oid
                 JOIN pg_class p ON p.oid = i.inhparent
                 JOIN pg_namespace n ON n.oid = p.relnamespace
                 WHERE n.nspname = $1 AND p.relname = 'event'",
            )
            .await
            .map_err(from_pg)?;
        let rows = client
            .query(&statement, &[&SCHEMA])
            .await
            .map_err(from_pg)?;
        let names = rows.iter().map(|row| row.get::<_, String>(0));
        let days: BTreeSet<Day> = names
            .filter_map(|name| Day::parse(&name.replace('_', "-")))
            .collect();
        let sorted = days.iter().copied().collect();
        *self.0.write() = days;
        Ok(sorted)
    }

    /// Makes sure that a day has partitions.
    pub(super) async fn ensure(&self, client: &mut Connection, day: Day) -> Result<()> {
        if self.contains(day) || self.refresh(client).await?.contains(&day) {
            return Ok(());
        }
        let made = create(client, day).await;
        self.refresh(client).await?;
        made
    }

    /// Drops the partitions of a day within a transaction.
    pub(super) async fn drop_day(
        &self,
        transaction: &deadpool_postgres::Transaction<'_>,
        day: Day,
    ) -> Result<()> {
        let tables = TABLES.map(|(table, _)| name(table, day)).join(", ");
        let statement = format!("DROP TABLE {tables}");
        transaction.batch_execute(&statement).await.map_err(from_pg)
    }

    /// Forgets a day that was dropped.
    pub(super) fn forget(&self, day: Day) {
        self.0.write().remove(&day);
    }
}

/// Name of the table of a day.
pub(super) fn name(table: &str, day: Day) -> String {
    format!("{table}_{}", day.to_string().replace('-', "_"))
}

/// The smallest id of a time, in whole milliseconds as ids have them.
pub(super) fn first_id(time: Timestamp) -> Uuid {
    Uuid::from_u128(walk::first_id(time))
}

/// Made aside and attached, since that waits for nobody who reads or writes
/// other days.
async fn create(client: &mut Connection, day: Day) -> Result<()> {
    let made = TABLES.map(|(table, fillfactor)| {
        let name = name(table, day);
        let bound = |day: Day| match table {
            "stats" => day.number().to_string(),
            _ => format!("'{}'", first_id(day.start())),
        };
        let (first, end) = (bound(day), bound(day.next()));
        format!(
            "CREATE TABLE {name} (LIKE {table} INCLUDING ALL) WITH (fillfactor = {fillfactor});
             ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end});"
        )
    });
    let transaction = client.transaction().await.map_err(from_pg)?;
    let number = i32::try_from(day.number()).unwrap_or(i32::MAX);
    transaction
        .execute("SELECT pg_advisory_xact_lock($1, $2)", &[&LOCK, &number])
        .await
        .map_err(from_pg)?;
    let name = name("event", day);
    let there = transaction
        .query_one("SELECT to_regclass($1) IS NOT NULL", &[&name])
        .await
        .map_err(from_pg)?;
    if !there.get::<_, bool>(0) {
        transaction
            .batch_execute(&made.concat())
            .await
            .map_err(from_pg)?;
    }
    transaction.commit().await.map_err(from_pg)
}
