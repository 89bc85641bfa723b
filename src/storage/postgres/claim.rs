//! Keeps servers apart from commands that want a store for themselves: a lock in
//! the database, which such a command holds while it works, and a server for the
//! moment in which it joins. Whoever is second sees the first.

use std::time::Duration;

use super::{
    connect::Connections,
    error::{from_pg, is_locked},
};
use crate::storage::Result;

/// The keys of the advisory lock. Two, so that it is none of those of the days.
pub(super) const LOCK: (i32, i32) = (0x7072_6404, 0);

/// How long a command that is about to end, or was killed just now, is waited
/// for.
const PATIENCE: Duration = Duration::from_secs(3);

/// A claim to a store; it ends with its connection.
pub(super) struct Claim(tokio_postgres::Client);

impl Claim {
    /// Claims the store alone; `None` if a process serves it, or another one has
    /// claimed it.
    pub(super) async fn alone(connections: &Connections) -> Result<Option<Self>> {
        let Some(claim) = Self::lock(connections, "pg_advisory_lock").await? else {
            return Ok(None);
        };
        // One whose lease has ended has to join anew, which waits for the claim.
        let gone = "DELETE FROM member WHERE until < now()";
        claim.0.batch_execute(gone).await.map_err(from_pg)?;
        let served = "SELECT EXISTS (SELECT FROM member)";
        let row = claim.0.query_one(served, &[]).await.map_err(from_pg)?;
        Ok((!row.get::<_, bool>(0)).then_some(claim))
    }

    /// Claims that nobody claims the store alone; `None` if somebody does.
    pub(super) async fn joining(connections: &Connections) -> Result<Option<Self>> {
        Self::lock(connections, "pg_advisory_lock_shared").await
    }

    async fn lock(connections: &Connections, how: &str) -> Result<Option<Self>> {
        let (client, connection) = connections.lone().await?;
        tokio::spawn(connection);
        let patience = PATIENCE.as_millis();
        let sql = format!(
            "SET lock_timeout = {patience}; SELECT {how}({}, {})",
            LOCK.0, LOCK.1
        );
        match client.batch_execute(&sql).await {
            Ok(()) => Ok(Some(Self(client))),
            Err(error) if is_locked(&error) => Ok(None),
            Err(error) => Err(from_pg(error)),
        }
    }

    /// Gives the claim up, at once.
    pub(super) async fn release(self) {
        // Without a connection there is no lock either.
        let _ = self
            .0
            .batch_execute("SELECT pg_advisory_unlock_all()")
            .await;
    }
}
