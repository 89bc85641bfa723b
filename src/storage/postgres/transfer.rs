//! The store as a whole, for copies.

use async_trait::async_trait;

use super::store::Store;
use crate::storage::{
    Chunk, ChunkSize, Copying, Counts, Cursor, Error, Occupancy, Result, Stored, Transfer,
};

#[async_trait]
impl Transfer for Store {
    async fn export(&self, _: Option<Cursor>, _: ChunkSize) -> Result<Chunk> {
        Err(missing())
    }

    async fn import(&self, _: Vec<Stored>) -> Result<()> {
        Err(missing())
    }

    async fn occupancy(&self) -> Result<Occupancy> {
        Err(missing())
    }

    async fn note_copy(&self, _: Option<Copying>) -> Result<()> {
        Err(missing())
    }

    async fn counts(&self) -> Result<Counts> {
        Err(missing())
    }
}

fn missing() -> Error {
    Error::Engine("not written yet".into())
}
