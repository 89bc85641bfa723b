//! The suite on the embedded engine, over each of its adapters.

use std::{fs, path::Path, sync::Arc};

use async_trait::async_trait;
use postrider::storage::{
    Engine,
    embedded::{Settings, open},
};
use tempfile::TempDir;

use super::{
    fixture::{Fixture, TestClock},
    suite::run_suite,
};

mod sled {
    use super::*;

    run_suite!(InDirectory::new());
}

/// A store in a directory.
struct InDirectory {
    dir: TempDir,
    clock: Arc<TestClock>,
    engine: Arc<dyn Engine>,
}

impl InDirectory {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::new();
        let engine = open_in(dir.path(), &clock).await;
        Self { dir, clock, engine }
    }
}

#[async_trait]
impl Fixture for InDirectory {
    fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    fn clock(&self) -> &TestClock {
        &self.clock
    }

    async fn reopen(&mut self) {
        self.engine.close().await;
        self.engine = open_in(self.dir.path(), &self.clock).await;
    }

    /// A copy of the directory is what a kill would leave in it now.
    async fn crash(&mut self) {
        let left = tempfile::tempdir().unwrap();
        copy(self.dir.path(), left.path());
        self.engine = open_in(left.path(), &self.clock).await;
        self.dir = left;
    }
}

async fn open_in(dir: &Path, clock: &Arc<TestClock>) -> Arc<dyn Engine> {
    let settings = Settings {
        dir: dir.join("data"),
        cache_bytes: Settings::DEFAULT_CACHE_BYTES,
    };
    open(settings, clock.clone()).await.unwrap()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
