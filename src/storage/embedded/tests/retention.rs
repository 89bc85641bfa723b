//! Days that expired go, and with them what they took of the disk.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::support::*;
use crate::domain::Event;

/// Bytes of the disk below a directory.
fn size(path: &Path) -> u64 {
    let below = fs::read_dir(path).into_iter().flatten();
    let below = below.map(|entry| size(&entry.unwrap().path())).sum::<u64>();
    below + path.metadata().unwrap().blocks() * 512
}

#[tokio::test]
async fn an_expired_day_gives_its_space_back() {
    let store = Fixture::new().await;
    let engine = &*store.engine;
    subscribe(engine, 1).await;
    for (number, day) in (0..200).map(|number| (number, 0)).chain([(0, 1)]) {
        let event = Event {
            payload: payload(vec![b'x'; 20_000]),
            ..event(number, days_after(day))
        };
        let delivery = deliver(engine, event, &[1]).await;
        let records = vec![succeeded(delivery, 1)];
        engine.record_attempts(records).await.unwrap();
    }
    let before = size(store.dir.path());

    let removed = engine.remove_expired(days_after(1)).await.unwrap();
    let after = size(store.dir.path());
    assert!(removed.bytes > 4_000_000, "{removed:?}");
    assert!(before - after > 4_000_000, "{before} {after}");
}
