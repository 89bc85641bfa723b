//! A database whose last writes are gone, though they were durable.

use std::fs;

use postrider::storage::embedded::Adapter;

use super::*;

/// What a cut in its log leaves of a store: an older one, that counts on.
async fn a_loss_is_refused_until_it_is_accepted(adapter: Adapter) {
    let mut store = InDirectory::new(adapter).await;
    subscribe(&*store.engine, 1).await;
    deliver(&*store.engine, event(1, NOON), &[1]).await;
    let older = tempfile::tempdir().unwrap();
    copy(store.dir.path(), older.path()).unwrap();
    for number in 2..=4 {
        deliver(&*store.engine, event(number, NOON), &[1]).await;
    }
    store.engine.close().await;
    let day = "data/days/2024-01-15";
    let commits = format!("{day}/COMMITS");
    fs::copy(store.dir.path().join(&commits), older.path().join(&commits)).unwrap();
    store.dir = older;

    let refused = open_in(adapter, store.dir.path(), &store.clock).await;
    let refused = refused.err().expect("it is refused").to_string();
    let day = store.dir.path().join(day).display().to_string();
    assert!(refused.contains(&day), "{refused}");
    let lost = "it has lost the last 3 writes that it took; to go on without them, remove ";
    assert!(
        refused.contains(&format!("{lost}{day}/COMMITS")),
        "{refused}"
    );

    fs::remove_file(store.dir.path().join(&commits)).unwrap();
    store.open().await;
    deliver(&*store.engine, event(5, NOON), &[1]).await;
    store.crash().await;
    let queue = store.engine.due(sub(1), None, 9).await.unwrap();
    assert_eq!(queue.entries.len(), 2);
}

#[tokio::test]
async fn sled_does_not_lose_its_last_writes_untold() {
    a_loss_is_refused_until_it_is_accepted(Adapter::Sled).await;
}

#[tokio::test]
async fn fjall_does_not_lose_its_last_writes_untold() {
    a_loss_is_refused_until_it_is_accepted(Adapter::Fjall).await;
}

/// It is not synced, so a power cut may leave an older one, or none.
#[tokio::test]
async fn an_older_count_or_one_that_makes_no_sense_proves_nothing() {
    for adapter in [Adapter::Sled, Adapter::Fjall] {
        let mut store = InDirectory::new(adapter).await;
        deliver(&*store.engine, event(1, NOON), &[]).await;
        let commits = "data/days/2024-01-15/COMMITS";
        let older = fs::read(store.dir.path().join(commits)).unwrap();
        for (number, left) in [(2, older), (3, Vec::new()), (4, vec![0xff; 16])] {
            deliver(&*store.engine, event(number, NOON), &[]).await;
            store.engine.close().await;
            fs::write(store.dir.path().join(commits), left).unwrap();
            store.open().await;
        }
    }
}
