//! The lease of this process: one row that is renewed every second, and the
//! shards that are its share.
//!
//! Who does not renew in time is removed by any of the others, and its shards
//! are free. The lease is one row for each process, not one for each shard: the
//! writers hold that row, so what a removed process still writes is refused.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::Transaction;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::{
    claim,
    error::from_pg,
    listen::SHARDS_FREE,
    open::member,
    ownership::{SHARDS, number_of},
    state::State,
};
use crate::storage::{Error, Result};

/// How often a lease is renewed while it lasts.
const RENEWALS: u32 = 10;
/// Pause before a renewal that failed is tried again: when the database is
/// back, everything waits for that.
const RETRY: Duration = Duration::from_millis(100);

/// Keeps the lease.
pub(super) struct Keeper {
    state: Arc<State>,
    /// What the others grant.
    lease: Duration,
    reachable: bool,
}

impl Keeper {
    /// Joins, and takes what is free of its share.
    pub(super) async fn begin(state: Arc<State>, lease: Duration) -> Result<Self> {
        let mut keeper = Self {
            state,
            lease: lease * 9 / 10,
            reachable: true,
        };
        let member = keeper.state.ownership.member();
        keeper.join(member).await?;
        keeper.renew().await?;
        Ok(keeper)
    }

    /// Renews until the writers have ended, then gives everything back.
    pub(super) async fn keep(mut self) {
        let mut ticks = interval(self.lease / RENEWALS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.state.leaving.cancelled() => break,
                _ = ticks.tick() => {}
                () = self.state.nudge.shards.notified() => {}
                () = tokio::time::sleep(RETRY), if !self.reachable => {}
            }
            let state = Arc::clone(&self.state);
            match state.leaving.run_until_cancelled(self.renew()).await {
                None => break,
                Some(Ok(())) if self.reachable => {}
                Some(Ok(())) => self.returned(),
                Some(Err(error)) => self.failed(&error),
            }
        }
        if let Err(error) = self.leave().await {
            tracing::warn!(%error, "lease not given back, it ends by itself");
        }
    }

    fn returned(&mut self) {
        tracing::info!("lease renewed again");
        self.reachable = true;
        // What failed meanwhile rests, and need not any longer.
        self.state.ownership.changed();
    }

    fn failed(&mut self, error: &Error) {
        self.state.note(error);
        if std::mem::replace(&mut self.reachable, false) {
            tracing::warn!(%error, "lease not renewed");
        }
        if self.state.ownership.lapse() {
            tracing::warn!("lease lapsed, nothing is sent until it is renewed");
        }
    }

    /// Fails while a command has the store alone: see [`claim`].
    async fn join(&self, member: Uuid) -> Result<()> {
        let client = self.state.own_connection().await?;
        let statement = "INSERT INTO member (id, until)
             SELECT $1, now() + $2 * interval '1 microsecond'
             WHERE pg_try_advisory_xact_lock_shared($3, $4)";
        let lease = micros(self.lease);
        let joined = client
            .execute(
                statement,
                &[&member, &lease, &claim::LOCK.0, &claim::LOCK.1],
            )
            .await;
        if joined.map_err(from_pg)? == 0 {
            return Err(Error::Unavailable("a command has the store alone".into()));
        }
        Ok(())
    }

    /// Renews the lease, removes members whose lease ended, gives and takes
    /// shards until this process has its share.
    async fn renew(&mut self) -> Result<()> {
        let ownership = &self.state.ownership;
        let member = ownership.member();
        let began = Instant::now();
        let mut client = self.state.own_connection().await?;
        let transaction = client.transaction().await.map_err(from_pg)?;
        let retiring = ownership.is_retiring();
        if !renew_member(&transaction, member, self.lease, retiring).await? {
            drop(transaction);
            tracing::warn!("lease ended and was removed, joining anew");
            let member = self::member()?;
            ownership.expelled(member);
            self.join(member).await?;
            if let Err(error @ Error::Sealed(_)) = self.state.expect_mark().await {
                self.state.fail(&error);
                return Err(error);
            }
            // As that it takes its share at once.
            self.state.nudge.shards.notify_one();
            return Ok(());
        }
        let quiet = ownership.quiet();
        let share = share_of(&transaction).await?;
        let given = give(&transaction, member, &quiet).await?;
        let mut owned = owned_by(&transaction, member).await?;
        if owned.len() < share && !retiring {
            take(&transaction, member, share - owned.len()).await?;
            owned = owned_by(&transaction, member).await?;
        }
        if given > 0 {
            let told = transaction
                .batch_execute(&format!("NOTIFY {SHARDS_FREE}"))
                .await;
            told.map_err(from_pg)?;
        }
        transaction.commit().await.map_err(from_pg)?;
        // Requests that are begun now end before anybody else begins: a fifth
        // of the lease is for those, and for clocks that run unevenly.
        ownership.renewed(began + self.lease * 4 / 5, &owned);
        self.state.note_reached();
        let leaving = ownership.leaving();
        if !retiring && owned.len() > share + leaving {
            ownership.leave(owned.len() - share - leaving);
            self.state.nudge.shards.notify_one();
        }
        if given > 0 {
            tracing::info!(given, owned = owned.len(), "gave shards to other processes");
        }
        Ok(())
    }

    async fn leave(&self) -> Result<()> {
        let member = self.state.ownership.member();
        let mut client = self.state.own.get().await?;
        let transaction = client.transaction().await.map_err(from_pg)?;
        transaction
            .execute(
                "UPDATE shard_lease SET owner = NULL WHERE owner = $1",
                &[&member],
            )
            .await
            .map_err(from_pg)?;
        transaction
            .execute("DELETE FROM member WHERE id = $1", &[&member])
            .await
            .map_err(from_pg)?;
        transaction
            .batch_execute(&format!("NOTIFY {SHARDS_FREE}"))
            .await
            .map_err(from_pg)?;
        transaction.commit().await.map_err(from_pg)
    }
}

/// Whether there still is such a member.
async fn renew_member(
    transaction: &Transaction<'_>,
    member: Uuid,
    lease: Duration,
    retiring: bool,
) -> Result<bool> {
    let statement = transaction
        .prepare_cached(
            "UPDATE member SET until = now() + $2 * interval '1 microsecond', retiring = $3
             WHERE id = $1",
        )
        .await
        .map_err(from_pg)?;
    let renewed = transaction
        .execute(&statement, &[&member, &micros(lease), &retiring])
        .await;
    Ok(renewed.map_err(from_pg)? == 1)
}

/// How many shards each member has, once those whose lease ended are removed.
/// One that writes right now stays for this time.
async fn share_of(transaction: &Transaction<'_>) -> Result<usize> {
    let statement = transaction
        .prepare_cached(
            "DELETE FROM member WHERE id IN
                 (SELECT id FROM member WHERE until < now() FOR UPDATE SKIP LOCKED)",
        )
        .await
        .map_err(from_pg)?;
    let removed = transaction.execute(&statement, &[]).await;
    let removed = removed.map_err(from_pg)?;
    if removed > 0 {
        tracing::warn!(removed, "removed processes whose lease had ended");
    }
    let statement = transaction
        .prepare_cached("SELECT count(*) FROM member WHERE NOT retiring")
        .await
        .map_err(from_pg)?;
    let row = transaction.query_one(&statement, &[]).await;
    let members = row.map_err(from_pg)?.get::<_, i64>(0);
    let members = usize::try_from(members).unwrap_or(1).max(1);
    Ok(SHARDS.div_ceil(members))
}

async fn give(transaction: &Transaction<'_>, member: Uuid, shards: &[usize]) -> Result<u64> {
    if shards.is_empty() {
        return Ok(0);
    }
    let shards: Vec<i32> = shards.iter().copied().map(number_of).collect();
    let statement = transaction
        .prepare_cached("UPDATE shard_lease SET owner = NULL WHERE owner = $1 AND shard = ANY($2)")
        .await
        .map_err(from_pg)?;
    let given = transaction.execute(&statement, &[&member, &shards]).await;
    given.map_err(from_pg)
}

async fn take(transaction: &Transaction<'_>, member: Uuid, count: usize) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "UPDATE shard_lease SET owner = $1 WHERE shard IN (
                 SELECT s.shard FROM shard_lease s
                 WHERE NOT EXISTS (SELECT FROM member m WHERE m.id = s.owner)
                 ORDER BY s.shard LIMIT $2 FOR UPDATE SKIP LOCKED)",
        )
        .await
        .map_err(from_pg)?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let taken = transaction.execute(&statement, &[&member, &count]).await;
    taken.map_err(from_pg)?;
    Ok(())
}

async fn owned_by(transaction: &Transaction<'_>, member: Uuid) -> Result<Vec<usize>> {
    let statement = transaction
        .prepare_cached("SELECT shard FROM shard_lease WHERE owner = $1")
        .await
        .map_err(from_pg)?;
    let rows = transaction.query(&statement, &[&member]).await;
    let shards = rows.map_err(from_pg)?;
    let shards = shards.iter().map(|row| row.get::<_, i32>(0));
    Ok(shards
        .filter_map(|shard| usize::try_from(shard).ok().filter(|shard| *shard < SHARDS))
        .collect())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
