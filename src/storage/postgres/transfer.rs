//! The store as a whole, to be copied: see [`Transfer`].
//!
//! What was begun to be written is written, or not at all, also if who asked for
//! it does not wait.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    error::{from_pg, malformed},
    state::{State, closed},
    store::Store,
};
use crate::storage::{
    Chunk, ChunkSize, Copying, Counts, Cursor, Occupancy, Result, Stored, Transfer,
    row::read_copying,
};

#[async_trait]
impl Transfer for Store {
    async fn export(&self, after: Option<Cursor>, size: ChunkSize) -> Result<Chunk> {
        self.state.export(after, size).await
    }

    async fn import(&self, records: Vec<Stored>) -> Result<()> {
        let state = Arc::clone(&self.state);
        let importing = self
            .tasks
            .spawn(async move { state.import(&records).await });
        importing.await.map_err(|_| closed())?
    }

    async fn occupancy(&self) -> Result<Occupancy> {
        if let Some(copying) = self.state.unfinished().await? {
            return Ok(Occupancy::Copying(copying));
        }
        Ok(if self.state.is_empty().await? {
            Occupancy::Empty
        } else {
            Occupancy::Used
        })
    }

    async fn note_copy(&self, copy: Option<Copying>) -> Result<()> {
        let state = Arc::clone(&self.state);
        let noting = self
            .tasks
            .spawn(async move { state.note_copy(copy.as_ref()).await });
        noting.await.map_err(|_| closed())?
    }

    async fn counts(&self) -> Result<Counts> {
        self.state.counts().await
    }
}

impl State {
    /// The copy into the store that is not finished.
    pub(super) async fn unfinished(&self) -> Result<Option<Copying>> {
        let client = self.connection().await?;
        let row = client.query_opt("SELECT content FROM copying", &[]).await;
        let row = row.map_err(from_pg)?;
        let read = row.map(|row| read_copying(row.get("content")).map_err(malformed("copying")));
        read.transpose()
    }

    /// Whether nothing was ever written to the store.
    async fn is_empty(&self) -> Result<bool> {
        let sql = "SELECT NOT EXISTS (SELECT FROM tenant)
             AND NOT EXISTS (SELECT FROM subscription)
             AND NOT EXISTS (SELECT FROM request)
             AND NOT EXISTS (SELECT FROM event)
             AND NOT EXISTS (SELECT FROM delivery)
             AND NOT EXISTS (SELECT FROM attempt)
             AND NOT EXISTS (SELECT FROM log WHERE removed_before IS NOT NULL)";
        let client = self.connection().await?;
        let row = client.query_one(sql, &[]).await.map_err(from_pg)?;
        Ok(row.get(0))
    }
}
