//! Processes that seal under different keys keep out of each other's way.

use std::sync::Arc;

use postrider::{
    domain::{Holder, Keyring, RootKey},
    storage::{
        Engine, Error, Health, Purpose,
        postgres::{OpenError, Settings, open_for},
    },
};

use super::{
    super::{build::*, fixture::Fixture, suite::keys::key},
    InPostgres, LEASE,
};
use crate::support::{cluster::connect, eventually, within};

fn ring(newest: u8, older: &[u8]) -> Keyring {
    let root = |seed: &u8| RootKey::generate([*seed; 32]);
    let older: Vec<_> = older.iter().map(root).collect();
    Keyring::new(&root(&newest), &older)
}

async fn open(store: &InPostgres, keyring: Keyring) -> Result<Arc<dyn Engine>, OpenError> {
    let settings = Settings {
        lease: LEASE,
        connections: 8,
        ..Settings::new(store.url.clone(), keyring)
    };
    open_for(Purpose::Serve, settings, store.clock.clone()).await
}

async fn is_refused(store: &InPostgres, keyring: Keyring) -> bool {
    match open(store, keyring).await {
        Ok(engine) => {
            engine.close().await;
            false
        }
        Err(OpenError::Database {
            source: Error::Sealed(_),
            ..
        }) => true,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_store_takes_another_key_once_nobody_serves_it() {
    let store = InPostgres::new().await;
    assert!(is_refused(&store, ring(1, &[])).await);
    store.engine().close().await;
    assert!(!is_refused(&store, ring(1, &[])).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_an_api_key_or_a_subscription_keeps_its_key() {
    for kept in ["an API key", "a subscription"] {
        let store = InPostgres::new().await;
        store.engine().close().await;
        let first = open(&store, ring(1, &[])).await.unwrap();
        match kept {
            "an API key" => first.create_key(key(1, Holder::Operator)).await.unwrap(),
            _ => subscribe(&*first, 1).await,
        }
        first.close().await;
        assert!(is_refused(&store, ring(2, &[])).await, "{kept}");
        // A new key comes with the old one beside it.
        assert!(!is_refused(&store, ring(2, &[1])).await, "{kept}");
        assert!(is_refused(&store, ring(1, &[])).await, "{kept}");
        assert!(!is_refused(&store, ring(1, &[2])).await, "{kept}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_that_start_at_once_at_most_one_serves() {
    for _ in 0..5 {
        let store = InPostgres::new().await;
        store.engine().close().await;
        let opened = tokio::join!(open(&store, ring(1, &[])), open(&store, ring(2, &[])));
        let served = [opened.0, opened.1].into_iter().flatten();
        let served: Vec<_> = served.collect();
        assert!(served.len() <= 1, "two processes with different keys");
        for engine in served {
            engine.close().await;
        }
        // What both refused is free again once their leases end.
        let again = eventually("the store", async || open(&store, ring(1, &[])).await.ok());
        again.await.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_lease_ended_does_not_come_back_to_another_key() {
    let store = InPostgres::new().await;
    let paused = &**store.engine();
    let client = connect(&store.text_url).await;
    // The first one may renew its lease in between.
    let other = eventually("the lease to have ended", async || {
        let end = "UPDATE postrider.member SET until = now() - interval '1 second'";
        client.execute(end, &[]).await.unwrap();
        open(&store, ring(1, &[])).await.ok()
    });
    let other = other.await;
    let refused = paused
        .create_subscription(subscription(1), None, None)
        .await;
    assert!(matches!(refused, Err(Error::Sealed(_))), "{refused:?}");
    subscribe(&*other, 1).await;
    let mut health = paused.health();
    let failed = health.wait_for(|health| matches!(health, Health::Failed(_)));
    within("the first one to give up", failed).await.unwrap();
    other.close().await;
}
