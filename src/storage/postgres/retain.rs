//! Retention: the partitions of a day are dropped as a whole, which gives their
//! space back at once, and the log keeps what is gone, for those who read it.
//!
//! Any number of processes may be at it at once. Nothing in a day becomes due
//! again while it goes: whoever changes a delivery locks the day's table in a
//! way that waits for the one who drops it, or is waited for. Readers of a day
//! are not kept waiting before it goes; a statement over all days locks those
//! one by one, and would wait for this while this waits for it.

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::error::SqlState;

use super::{
    connect::Connection,
    days::{self, first_id},
    error::from_pg,
    row::from_time,
    state::State,
    store::Store,
};
use crate::{
    domain::{TenantId, Timestamp},
    storage::{
        Error, Removed, RemovedEvents, Result, Retention, day::Day, idempotency::REMEMBERED,
    },
};

/// How long others are kept waiting for a day that somebody still uses.
const PATIENCE: &str = "SET LOCAL lock_timeout = '2s'";

#[async_trait]
impl Retention for Store {
    async fn remove_expired(&self, before: Timestamp) -> Result<Removed> {
        self.state.remove_expired(Day::of(before)).await
    }

    async fn remove_of_tenant(
        &self,
        tenant: &TenantId,
        before: Timestamp,
    ) -> Result<RemovedEvents> {
        let before = Day::of(before).start();
        let removed = self.state.forget_events(tenant, before).await;
        removed.inspect_err(|error| self.state.note(error))
    }
}

/// What became of a day.
enum Fate {
    /// It is gone, and took so many bytes.
    Dropped(u64),
    /// Something in it is due, or it is in use.
    Kept,
    /// Another process dropped it.
    Gone,
}

impl State {
    async fn remove_expired(&self, before: Day) -> Result<Removed> {
        let mut client = self.connection().await?;
        let mut removed = Removed::default();
        let days = self.days.refresh(&client).await?;
        for day in days.into_iter().filter(|day| *day < before) {
            match self.remove(&mut client, day).await? {
                Fate::Dropped(bytes) => {
                    removed.days += 1;
                    removed.bytes += bytes;
                }
                Fate::Kept => removed.kept += 1,
                Fate::Gone => {}
            }
        }
        self.forget(&client).await?;
        Ok(removed)
    }

    async fn remove(&self, client: &mut Connection, day: Day) -> Result<Fate> {
        // A look first, that nobody has to wait for.
        if is_due(client, day).await? {
            return Ok(Fate::Kept);
        }
        let fate = match self.drop_day(client, day).await {
            Err(error) if is_conflict(&error) => {
                tracing::info!(%day, "expired day is in use and stays until the next time");
                Fate::Kept
            }
            fate => fate?,
        };
        if !matches!(fate, Fate::Kept) {
            self.days.forget(day);
        }
        Ok(fate)
    }

    /// Forgets old request ids, and the deleted subscriptions that were deleted
    /// before the last attempt of the days that are gone.
    async fn forget(&self, client: &Connection) -> Result<()> {
        self.forget_requests(client).await?;
        let statement = client
            .prepare_cached(
                "DELETE FROM subscription s USING log l
                 WHERE s.content IS NULL AND l.removed_position > l.base
                     AND s.changed < ((l.removed_position - l.base) >> 10)::text::xid8",
            )
            .await
            .map_err(from_pg)?;
        client.execute(&statement, &[]).await.map_err(from_pg)?;
        Ok(())
    }

    /// Forgets the request ids that are old.
    pub(super) async fn forget_requests(&self, client: &Connection) -> Result<()> {
        let now = from_time(self.clock.now());
        let remembered = from_time(Timestamp::MIN.after(REMEMBERED));
        let statement = client
            .prepare_cached("DELETE FROM request WHERE create_time < $1")
            .await
            .map_err(from_pg)?;
        client
            .execute(&statement, &[&now.saturating_sub(remembered)])
            .await
            .map_err(from_pg)?;
        Ok(())
    }

    /// Drops a day, unless something in it is due.
    async fn drop_day(&self, client: &mut Connection, day: Day) -> Result<Fate> {
        let transaction = client.transaction().await.map_err(from_pg)?;
        transaction.batch_execute(PATIENCE).await.map_err(from_pg)?;
        let number = i32::try_from(day.number()).unwrap_or(i32::MAX);
        transaction
            .execute(
                "SELECT pg_advisory_xact_lock($1, $2)",
                &[&days::LOCK, &number],
            )
            .await
            .map_err(from_pg)?;
        let delivery = days::name("delivery", day);
        let there = transaction
            .query_one("SELECT to_regclass($1) IS NOT NULL", &[&delivery])
            .await
            .map_err(from_pg)?;
        if !there.get::<_, bool>(0) {
            return Ok(Fate::Gone);
        }
        let lock = format!("LOCK TABLE {delivery} IN EXCLUSIVE MODE");
        transaction.batch_execute(&lock).await.map_err(from_pg)?;
        if is_due(&transaction, day).await? {
            return Ok(Fate::Kept);
        }
        let bytes = size(&transaction, day).await?;
        note(&transaction, day).await?;
        self.days.drop_day(&transaction, day).await?;
        transaction.commit().await.map_err(from_pg)?;
        Ok(Fate::Dropped(bytes))
    }
}

/// Whether something of a day waits in a queue.
async fn is_due(client: &impl GenericClient, day: Day) -> Result<bool> {
    let statement = client
        .prepare_cached("SELECT EXISTS (SELECT FROM ready WHERE delivery >= $1 AND delivery < $2)")
        .await
        .map_err(from_pg)?;
    let (first, end) = (first_id(day.start()), first_id(day.next().start()));
    let row = client.query_one(&statement, &[&first, &end]).await;
    Ok(row.map_err(from_pg)?.get(0))
}

/// How many bytes a day takes.
async fn size(transaction: &Transaction<'_>, day: Day) -> Result<u64> {
    let tables = days::TABLES
        .map(|(table, _)| days::name(table, day))
        .to_vec();
    let row = transaction
        .query_one(
            "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM unnest($1::text[]) name",
            &[&tables],
        )
        .await
        .map_err(from_pg)?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// Notes what readers of the log miss once a day is gone.
async fn note(transaction: &Transaction<'_>, day: Day) -> Result<()> {
    let attempt = days::name("attempt", day);
    let statement = format!(
        "UPDATE log SET removed_before = greatest(removed_before, $1),
             removed_position =
                 greatest(removed_position, (SELECT max(position) FROM {attempt}))"
    );
    let before = from_time(day.next().start());
    let noted = transaction.execute(&statement, &[&before]).await;
    noted.map(|_| ()).map_err(from_pg)
}

/// Whether somebody was in the way.
fn is_conflict(error: &Error) -> bool {
    let Error::Unavailable(why) = error else {
        return false;
    };
    let why = why.downcast_ref::<tokio_postgres::Error>();
    let state = why.and_then(tokio_postgres::Error::code);
    state.is_some_and(|state| {
        [
            &SqlState::LOCK_NOT_AVAILABLE,
            &SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(&state)
    })
}
