//! The store as a whole, to be copied: see [`Transfer`].

use async_trait::async_trait;

use super::{state::State, store::Store, write::Write};
use crate::storage::{
    Chunk, ChunkSize, Copying, Counts, Cursor, Occupancy, Result, Stored, Transfer,
};

#[async_trait]
impl Transfer for Store {
    async fn export(&self, after: Option<Cursor>, size: ChunkSize) -> Result<Chunk> {
        self.read(move |state| state.export(after.as_ref(), size))
            .await
    }

    async fn import(&self, records: Vec<Stored>) -> Result<()> {
        self.write(|reply| Write::Import(records, reply)).await
    }

    async fn occupancy(&self) -> Result<Occupancy> {
        if let Some(copying) = self.state.copying.lock().clone() {
            return Ok(Occupancy::Copying(copying));
        }
        self.read(|state| {
            Ok(if state.is_empty()? {
                Occupancy::Empty
            } else {
                Occupancy::Used
            })
        })
        .await
    }

    async fn note_copy(&self, copy: Option<Copying>) -> Result<()> {
        self.write(|reply| Write::NoteCopy(copy, reply)).await
    }

    async fn counts(&self) -> Result<Counts> {
        self.read(State::counts).await
    }
}
