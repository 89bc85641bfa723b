//! The suite on the PostgreSQL engine, and what holds where several processes
//! share a store.

mod check;
mod damage;
mod full;
mod late;
mod log;
mod migrations;
mod offline;
mod outage;
mod owners;
mod plans;
mod root_key;

use crate::support::keyring;
use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use postrider::{
    domain::SubscriptionId,
    storage::{
        Engine, Purpose,
        postgres::{OpenError, Settings, Url, open_for},
    },
};

use super::{
    fixture::{Fixture, TestClock},
    suite::run_suite,
};
use crate::support::{Cluster, eventually, within};

run_suite!(InPostgres::new());

/// Short, so that what a crash left behind is soon free.
const LEASE: Duration = Duration::from_secs(2);

/// A store in a database of its own.
struct InPostgres {
    url: Url,
    /// The same with everything that is needed to connect.
    text_url: String,
    clock: Arc<TestClock>,
    /// The open store; none while another one is opened.
    engine: Option<Arc<dyn Engine>>,
}

impl InPostgres {
    async fn new() -> Self {
        Self::within(Cluster::shared()).await
    }

    async fn within(cluster: &Cluster) -> Self {
        let (url, text_url) = cluster.database().await;
        let clock = TestClock::new();
        let engine = serve_in(&url, &clock).await;
        Self {
            url,
            text_url,
            clock,
            engine: Some(engine),
        }
    }

    /// Opens the store as one more process would.
    async fn join(&self) -> Arc<dyn Engine> {
        let opened = open_in(Purpose::Serve, &self.url, &self.clock).await;
        opened.unwrap()
    }
}

#[async_trait]
impl Fixture for InPostgres {
    fn engine(&self) -> &Arc<dyn Engine> {
        self.engine.as_ref().expect("it is open")
    }

    fn clock(&self) -> &TestClock {
        &self.clock
    }

    async fn reopen(&mut self) {
        self.engine().close().await;
        self.engine = Some(serve_in(&self.url, &self.clock).await);
    }

    async fn another(&mut self) -> Arc<dyn Engine> {
        let (url, _) = Cluster::shared().database().await;
        serve_in(&url, &self.clock).await
    }

    /// What was dropped without being closed keeps its queues until its lease
    /// ends. A part of a store cannot be served, and is opened for the rest once
    /// that is so.
    async fn crash(&mut self) {
        self.engine = None;
        let opened = open_in(Purpose::Serve, &self.url, &self.clock).await;
        let engine = match opened {
            Ok(engine) => {
                owns(&*engine, 0..=255).await;
                engine
            }
            Err(OpenError::Unfinished { .. }) => {
                eventually("the lease to end", async || {
                    open_in(Purpose::CopyInto, &self.url, &self.clock)
                        .await
                        .ok()
                })
                .await
            }
            Err(error) => panic!("{error}"),
        };
        self.engine = Some(engine);
    }
}

async fn open_in(
    purpose: Purpose,
    url: &Url,
    clock: &Arc<TestClock>,
) -> Result<Arc<dyn Engine>, OpenError> {
    let settings = Settings {
        lease: LEASE,
        connections: 8,
        ..Settings::new(url.clone(), keyring())
    };
    open_for(purpose, settings, clock.clone()).await
}

/// Opens the store and waits until it owns all queues.
async fn serve_in(url: &Url, clock: &Arc<TestClock>) -> Arc<dyn Engine> {
    let opened = open_in(Purpose::Serve, url, clock).await;
    let engine = opened.unwrap();
    owns(&*engine, 0..=255).await;
    engine
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
