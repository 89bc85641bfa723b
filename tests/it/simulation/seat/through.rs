//! The parts of a store that go through as they are, but for the time they take.

use async_trait::async_trait;
use postrider::{
    domain::{
        ApiKey, ApiKeyId, Counts, Erasure, Holder, Replay, ReplayId, StatsGroup, StatsQuery,
        TenantId, Timestamp,
    },
    storage::{
        self, Candidates, Chunk, ChunkSize, Copying, Cursor, Engine, Erase, Erased, Health, Keys,
        Occupancy, Page, PageRequest, Removed, RemovedEvents, ReplayAdvance, ReplayChange, Replays,
        Result, Retention, Stats, Transfer,
    },
};
use tokio::sync::watch;

use super::Seat;

#[async_trait]
impl Erase for Seat {
    async fn erase(&self, tenant: &TenantId, what: Erasure, now: Timestamp) -> Result<Erased> {
        self.slowly(self.store.erase(tenant, what, now)).await
    }
}

#[async_trait]
impl Keys for Seat {
    async fn create_key(&self, key: ApiKey) -> Result<()> {
        self.store.create_key(key).await
    }

    async fn find_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        self.store.find_key(id).await
    }

    async fn list_keys(&self, holder: &Holder, page: PageRequest) -> Result<Page<ApiKey>> {
        self.store.list_keys(holder, page).await
    }

    async fn revoke_key(&self, holder: &Holder, id: ApiKeyId, now: Timestamp) -> Result<ApiKey> {
        self.store.revoke_key(holder, id, now).await
    }
}

#[async_trait]
impl Replays for Seat {
    async fn create_replay(&self, replay: Replay) -> Result<()> {
        self.slowly(self.store.create_replay(replay)).await
    }

    async fn replay(&self, tenant: &TenantId, id: ReplayId) -> Result<Replay> {
        self.store.replay(tenant, id).await
    }

    async fn list_replays(&self, tenant: &TenantId, page: PageRequest) -> Result<Page<Replay>> {
        self.store.list_replays(tenant, page).await
    }

    async fn running_replays(&self) -> Result<Vec<Replay>> {
        self.store.running_replays().await
    }

    async fn candidates(&self, replay: &Replay, limit: usize) -> Result<Candidates> {
        self.slowly(self.store.candidates(replay, limit)).await
    }

    async fn advance_replay(&self, advance: ReplayAdvance) -> Result<Replay> {
        self.slowly(self.store.advance_replay(advance)).await
    }

    async fn change_replay(
        &self,
        tenant: &TenantId,
        id: ReplayId,
        change: ReplayChange,
        now: Timestamp,
    ) -> Result<Replay> {
        self.slowly(self.store.change_replay(tenant, id, change, now))
            .await
    }
}

#[async_trait]
impl Retention for Seat {
    async fn remove_expired(&self, before: Timestamp) -> Result<Removed> {
        self.store.remove_expired(before).await
    }

    async fn remove_of_tenant(
        &self,
        tenant: &TenantId,
        before: Timestamp,
    ) -> Result<RemovedEvents> {
        self.store.remove_of_tenant(tenant, before).await
    }
}

#[async_trait]
impl Stats for Seat {
    async fn stats(
        &self,
        tenant: &TenantId,
        query: &StatsQuery,
        limit: usize,
    ) -> Result<Vec<(StatsGroup, Counts)>> {
        self.store.stats(tenant, query, limit).await
    }
}

#[async_trait]
impl Transfer for Seat {
    async fn export(&self, after: Option<Cursor>, size: ChunkSize) -> Result<Chunk> {
        self.store.export(after, size).await
    }

    async fn import(&self, records: Vec<storage::Stored>) -> Result<()> {
        self.store.import(records).await
    }

    async fn occupancy(&self) -> Result<Occupancy> {
        self.store.occupancy().await
    }

    async fn note_copy(&self, copy: Option<Copying>) -> Result<()> {
        self.store.note_copy(copy).await
    }

    async fn counts(&self) -> Result<storage::Counts> {
        self.store.counts().await
    }
}

#[async_trait]
impl Engine for Seat {
    fn health(&self) -> watch::Receiver<Health> {
        self.store.health()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
