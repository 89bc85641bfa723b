//! Rows that keys lead to and that no scan passes, as sled has them behind a hole
//! in its log.

use std::sync::Arc;

use super::{
    super::{
        key::{self, Tag},
        kv::{Batch, Bounds, Order, Partition, Result, Space, Step},
    },
    check::{check_days, filled},
};

/// A place whose partitions have rows that no scan passes.
struct Hiding<S>(S);

struct HidingPartition(Arc<dyn Partition>);

impl<S: Space> Space for Hiding<S> {
    fn open(&self, name: &str, cache_bytes: u64) -> Result<Arc<dyn Partition>> {
        Ok(Arc::new(HidingPartition(self.0.open(name, cache_bytes)?)))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.0.list()
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.0.remove(name)
    }

    fn size(&self, name: &str) -> Result<u64> {
        self.0.size(name)
    }

    fn free(&self) -> Result<u64> {
        self.0.free()
    }
}

impl Partition for HidingPartition {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.get(key)
    }

    fn scan(
        &self,
        bounds: Bounds,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<()> {
        self.0.scan(bounds, order, &mut |key, row| {
            if matches!(key::tag_of(key), Some(Tag::Delivery | Tag::Due)) {
                Step::Continue(())
            } else {
                visit(key, row)
            }
        })
    }

    fn commit(&self, batch: Batch) -> Result<()> {
        self.0.commit(batch)
    }
}

#[tokio::test]
async fn rows_that_no_scan_passes_are_missed() {
    let disk = filled().await;
    let (_, found) = check_days(&disk, Box::new(Hiding(disk.space("days/"))));
    let texts: Vec<_> = found.into_iter().map(|finding| finding.what).collect();
    assert_eq!(texts, ["has 2 deliveries, and a scan passes 0"]);
}
