//! A disk that fails: nothing is acknowledged from then on.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    super::{
        dir::DataDir,
        folder::Folder,
        kv::{Batch, Bounds, Order, Partition, Result, Space, Step},
        open::start,
        sled::SledPartition,
        store::Store,
    },
    support::*,
};
use crate::{
    domain::{Keyring, RootKey},
    storage::{Catalog, CommitNumber, Engine, Error, Health, Purpose, Queue},
};

/// Partitions whose commits fail once they are told to.
struct FailingSpace {
    space: Folder<SledPartition>,
    fails: Arc<AtomicBool>,
}

struct FailingPartition {
    partition: Arc<dyn Partition>,
    fails: Arc<AtomicBool>,
}

impl Space for FailingSpace {
    fn open(&self, name: &str, cache_bytes: u64) -> Result<Arc<dyn Partition>> {
        Ok(Arc::new(FailingPartition {
            partition: self.space.open(name, cache_bytes)?,
            fails: Arc::clone(&self.fails),
        }))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.space.list()
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.space.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.space.remove(name)
    }

    fn size(&self, name: &str) -> Result<u64> {
        self.space.size(name)
    }

    fn free(&self) -> Result<u64> {
        self.space.free()
    }
}

impl Partition for FailingPartition {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.partition.get(key)
    }

    fn scan(
        &self,
        bounds: Bounds,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<()> {
        self.partition.scan(bounds, order, visit)
    }

    fn commit(&self, batch: Batch) -> Result<()> {
        self.partition.commit(batch)?;
        if self.fails.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(5).into());
        }
        Ok(())
    }
}

fn failing_store(dir: &tempfile::TempDir) -> (Store, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let space = |name: &str| FailingSpace {
        space: Folder::new(dir.path().join(name)).unwrap(),
        fails: Arc::clone(&fails),
    };
    let data = DataDir::take(dir.path().to_owned(), "sled").unwrap();
    let clock = Arc::new(TestClock::at(NOON));
    let days = Box::new(space("days"));
    let (root, keyring) = (
        space("root"),
        Keyring::new(&RootKey::generate([7; 32]), &[]),
    );
    let Ok(store) = start(Purpose::Serve, data, &root, days, 1 << 20, keyring, clock) else {
        panic!("the disk still works");
    };
    (store, fails)
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_or_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, fails) = failing_store(&dir);
    deliver(&store, event(1, NOON), &[1]).await;
    let mut hints = store.hints();
    fails.store(true, Ordering::Relaxed);

    let lost = accept(&store, vec![routed(event(2, NOON), &[1])]).await;
    assert!(matches!(lost, Err(Error::Closed(_))));
    assert!(matches!(*store.health().borrow(), Health::Failed(_)));
    assert!(hints.try_recv().is_err());

    // The disk is back, and nobody is fooled by that.
    fails.store(false, Ordering::Relaxed);
    let refused = accept(&store, vec![routed(event(3, NOON), &[1])]).await;
    assert!(matches!(refused, Err(Error::Closed(_))));
    let refused = store.create_subscription(subscription(1), None, None).await;
    assert!(matches!(refused, Err(Error::Closed(_))));
    let page = store.due(sub(1), None, 10).await.unwrap();
    assert_eq!(page.as_of, CommitNumber(1));
    store.close().await;
}
