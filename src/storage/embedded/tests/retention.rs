//! Days that expired go, and with them what they took of the disk.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::support::*;
use crate::{
    domain::EventId,
    storage::{DeliveryChange, Error, LogPosition, Removed, Resource, View},
};

/// Bytes of the disk below a directory.
fn size(path: &Path) -> u64 {
    let below = fs::read_dir(path).into_iter().flatten();
    let below = below.map(|entry| size(&entry.unwrap().path())).sum::<u64>();
    below + path.metadata().unwrap().blocks() * 512
}

/// Events of a day, all delivered.
async fn delivered(store: &Fixture, day: u64, count: u128) -> EventId {
    let mut first = None;
    for number in 0..count {
        let mut event = event(number, days_after(day));
        event.payload.data = vec![b'x'; 20_000].into();
        let delivery = deliver(&*store.engine, event, &[1]).await;
        let records = vec![succeeded(delivery, 1)];
        store.engine.record_attempts(records).await.unwrap();
        first.get_or_insert(delivery.event_id());
    }
    first.expect("there is one at least")
}

#[tokio::test]
async fn an_expired_day_gives_its_space_back_and_the_rest_stays() {
    let mut store = Fixture::new().await;
    subscribe(&*store.engine, 1).await;
    let old = delivered(&store, 0, 200).await;
    let kept = delivered(&store, 1, 1).await;
    let before = size(store.dir.path());

    let removed = store.engine.remove_expired(days_after(1)).await.unwrap();
    let after = size(store.dir.path());
    assert_eq!((removed.days, removed.kept), (1, 0));
    assert!(removed.bytes > 4_000_000, "{removed:?}");
    assert!(before - after > 4_000_000, "{before} {after}");

    for _ in 0..2 {
        let engine = &*store.engine;
        let gone = engine.event(tenant(), old, View::Full).await;
        assert!(matches!(gone, Err(Error::NotFound(Resource::Event(id))) if id == old));
        engine.event(tenant(), kept, View::Full).await.unwrap();
        let again = engine.remove_expired(days_after(1)).await.unwrap();
        assert_eq!(again, Removed::default());
        store.reopen().await;
    }
}

#[tokio::test]
async fn a_day_with_a_pending_delivery_is_kept_until_it_is_settled() {
    let mut store = Fixture::new().await;
    subscribe(&*store.engine, 1).await;
    let pending = deliver(&*store.engine, event(1, NOON), &[1]).await;
    delivered(&store, 1, 1).await;
    delivered(&store, 5, 1).await;
    store.reopen().await;

    let removed = store.engine.remove_expired(days_after(4)).await.unwrap();
    assert_eq!((removed.days, removed.kept), (1, 1));
    let engine = &*store.engine;
    let work = engine.load_work(sub(1), pending).await.unwrap();
    assert!(work.is_some());

    let cancel = engine.change_delivery(tenant(), pending, DeliveryChange::Cancel, after(9));
    cancel.await.unwrap();
    let removed = engine.remove_expired(days_after(4)).await.unwrap();
    assert_eq!((removed.days, removed.kept), (1, 0));
}

#[tokio::test]
async fn a_reader_is_told_of_the_removed_attempts_it_missed() {
    let mut store = Fixture::new().await;
    subscribe(&*store.engine, 1).await;
    delivered(&store, 0, 2).await;
    let read = *store.engine.log_end().borrow();
    // Nothing is left afterwards, not even a day to compare with.
    store.engine.remove_expired(days_after(9)).await.unwrap();
    for _ in 0..2 {
        let slice = store.engine.read_log(LogPosition::default(), 9).await;
        assert!(slice.unwrap().removed_before.is_some());
        let slice = store.engine.read_log(read, 9).await.unwrap();
        assert_eq!(slice.removed_before, None);
        assert_eq!(*store.engine.log_end().borrow(), read);
        store.reopen().await;
    }
    // Positions go on after what is gone.
    delivered(&store, 0, 1).await;
    assert!(*store.engine.log_end().borrow() > read);
}
