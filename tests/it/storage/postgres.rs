//! The suite on the PostgreSQL engine, and what holds where several processes
//! share a store.

mod log;
mod migrations;
mod outage;
mod owners;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use postrider::{
    domain::SubscriptionId,
    storage::{
        Engine,
        postgres::{Settings, Url, open},
    },
};

use super::{
    fixture::{Fixture, TestClock},
    suite::run_suite,
};
use crate::support::{Cluster, within};

run_suite!(InPostgres::new());

/// Short, so that what a crash left behind is soon free.
const LEASE: Duration = Duration::from_secs(2);

/// A store in a database of its own.
struct InPostgres {
    url: Url,
    /// The same with everything that is needed to connect.
    text_url: String,
    clock: Arc<TestClock>,
    engine: Arc<dyn Engine>,
}

impl InPostgres {
    async fn new() -> Self {
        Self::within(Cluster::shared()).await
    }

    async fn within(cluster: &Cluster) -> Self {
        let (url, text_url) = cluster.database().await;
        let clock = TestClock::new();
        let engine = open_in(&url, &clock).await;
        owns(&*engine, 0..=255).await;
        Self {
            url,
            text_url,
            clock,
            engine,
        }
    }

    /// Opens the store as one more process would.
    async fn join(&self) -> Arc<dyn Engine> {
        open_in(&self.url, &self.clock).await
    }
}

#[async_trait]
impl Fixture for InPostgres {
    fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    fn clock(&self) -> &TestClock {
        &self.clock
    }

    async fn reopen(&mut self) {
        self.engine.close().await;
        self.engine = self.join().await;
        owns(&*self.engine, 0..=255).await;
    }

    async fn another(&mut self) -> Arc<dyn Engine> {
        let (url, _) = Cluster::shared().database().await;
        let engine = open_in(&url, &self.clock).await;
        owns(&*engine, 0..=255).await;
        engine
    }

    /// What was dropped without being closed keeps its queues until its lease
    /// ends.
    async fn crash(&mut self) {
        self.engine = self.join().await;
        owns(&*self.engine, 0..=255).await;
    }
}

async fn open_in(url: &Url, clock: &Arc<TestClock>) -> Arc<dyn Engine> {
    let settings = Settings {
        lease: LEASE,
        connections: 8,
        ..Settings::new(url.clone())
    };
    open(settings, clock.clone()).await.unwrap()
}

/// A subscription whose queue is in this shard, of which there are 256.
fn in_shard(shard: u8) -> SubscriptionId {
    let mut bytes = super::build::sub(1).to_bytes();
    bytes[15] = shard;
    SubscriptionId::from_bytes(bytes)
}

/// Waits until an engine owns the queues of these shards.
async fn owns(engine: &dyn Engine, shards: std::ops::RangeInclusive<u8>) {
    let mut ownership = engine.ownership();
    within("the queues to be owned", async {
        loop {
            ownership.mark_unchanged();
            if shards.clone().all(|shard| engine.owns(in_shard(shard))) {
                return;
            }
            ownership.changed().await.unwrap();
        }
    })
    .await;
}
