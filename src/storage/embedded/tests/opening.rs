//! Who may open a store, and when it is refused.

use std::{fs, path::Path, time::Duration};

use super::{super::OpenError, support::*};
use crate::storage::{DeliveryChange, Error, LogPosition, View};

/// Overwrites the middle of everything that sled wrote.
fn damage(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let mut bytes = fs::read(&path).unwrap();
            let end = bytes.len();
            bytes[end / 8..].fill(0x5a);
            bytes[..end / 8].reverse();
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_closes() {
    let store = Fixture::new().await;
    let second = try_open(&store.dir, &store.clock).await;
    assert!(matches!(second, Err(OpenError::Locked { .. })));
    store.engine.close().await;
    store.engine.close().await;
    try_open(&store.dir, &store.clock).await.unwrap();
}

#[tokio::test]
async fn a_dropped_store_can_be_opened_again() {
    let Fixture { dir, clock, engine } = Fixture::new().await;
    let mut health = engine.health();
    drop(engine);
    // The sender goes with the last of the store.
    while health.changed().await.is_ok() {}
    let opened = async {
        loop {
            match try_open(&dir, &clock).await {
                Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
                opened => return opened,
            }
        }
    };
    let opened = tokio::time::timeout(Duration::from_secs(10), opened).await;
    opened.unwrap().unwrap();
}

#[tokio::test]
async fn a_corrupt_partition_is_named() {
    for part in ["data/catalog", "data/days/2024-01-15"] {
        let store = Fixture::new().await;
        subscribe(&*store.engine, 50).await;
        for number in 0..50 {
            deliver(&*store.engine, event(number, NOON), &[1]).await;
        }
        store.engine.close().await;
        let part = store.dir.path().join(part);
        damage(&part);
        let refused = try_open(&store.dir, &store.clock).await.map(|_| ());
        let Err(OpenError::Corrupt { dir, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(dir, part);
    }
}

#[tokio::test]
async fn an_old_day_rests_until_something_in_it_is_due_again() {
    let mut store = Fixture::new().await;
    subscribe(&*store.engine, 1).await;
    let old = deliver(&*store.engine, event(1, NOON), &[1]).await;
    store
        .engine
        .record_attempts(vec![succeeded(old, 1)])
        .await
        .unwrap();
    for day in 1..=3 {
        deliver(&*store.engine, event(2, days_after(day)), &[1]).await;
    }
    for _ in 0..2 {
        store.reopen().await;
        let engine = &*store.engine;
        let queue = engine.due(sub(1), None, 10).await.unwrap();
        assert_eq!(queue.entries.len(), 3);
        let log = engine.read_log(LogPosition::default(), 10).await.unwrap();
        assert_eq!(log.attempts.len(), 1);
        assert_eq!(*engine.log_end().borrow(), log.attempts[0].0);
    }
    let retry = store
        .engine
        .change_delivery(tenant(), old, DeliveryChange::Retry, after(9));
    retry.await.unwrap();
    for _ in 0..2 {
        let queue = store.engine.due(sub(1), None, 10).await.unwrap();
        assert_eq!(queue.entries.len(), 4);
        assert_eq!(queue.entries[0].delivery_id, old);
        store.reopen().await;
    }
}

#[tokio::test]
async fn a_damaged_day_at_rest_keeps_nobody_from_opening_the_store() {
    let mut store = Fixture::new().await;
    let old = event(1, NOON);
    deliver(&*store.engine, old.clone(), &[]).await;
    for day in 1..=3 {
        deliver(&*store.engine, event(2, days_after(day)), &[]).await;
    }
    store.engine.close().await;
    damage(&store.dir.path().join("data/days/2024-01-15"));
    store.reopen().await;
    let read = store.engine.event(tenant(), old.id, View::Basic).await;
    assert!(matches!(read, Err(Error::Corrupt(_))));
    let read = store
        .engine
        .event(tenant(), event(2, days_after(3)).id, View::Basic);
    read.await.unwrap();
}
