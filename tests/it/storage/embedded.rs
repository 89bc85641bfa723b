//! The suite on the embedded engine, over each of its adapters.

use std::{fs, path::Path, sync::Arc};

use async_trait::async_trait;
use postrider::storage::{
    Engine,
    embedded::{Adapter, Disk, OpenError, Settings, open, open_in_memory},
};
use tempfile::TempDir;

use super::{
    fixture::{Fixture, TestClock},
    suite::run_suite,
};

mod sled {
    use super::*;

    run_suite!(InDirectory::new(Adapter::Sled));
}

mod fjall {
    use super::*;

    run_suite!(InDirectory::new(Adapter::Fjall));
}

mod memory {
    use super::*;

    run_suite!(InMemory::new());
}

/// A store in a directory.
struct InDirectory {
    adapter: Adapter,
    dir: TempDir,
    clock: Arc<TestClock>,
    engine: Arc<dyn Engine>,
}

impl InDirectory {
    async fn new(adapter: Adapter) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::new();
        let engine = open_in(adapter, dir.path(), &clock).await.unwrap();
        Self {
            adapter,
            dir,
            clock,
            engine,
        }
    }

    async fn open(&mut self) {
        let opened = open_in(self.adapter, self.dir.path(), &self.clock).await;
        self.engine = opened.unwrap();
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
        self.open().await;
    }

    /// A copy of the directory is what a kill would leave in it now.
    async fn crash(&mut self) {
        let left = tempfile::tempdir().unwrap();
        copy(self.dir.path(), left.path());
        self.dir = left;
        self.open().await;
    }
}

/// A store on a disk in memory.
struct InMemory {
    disk: Disk,
    clock: Arc<TestClock>,
    engine: Arc<dyn Engine>,
}

impl InMemory {
    async fn new() -> Self {
        let disk = Disk::default();
        let clock = TestClock::new();
        let engine = open_in_memory(&disk, clock.clone()).await.unwrap();
        Self {
            disk,
            clock,
            engine,
        }
    }

    async fn open(&mut self) {
        let opened = open_in_memory(&self.disk, self.clock.clone()).await;
        self.engine = opened.unwrap();
    }
}

#[async_trait]
impl Fixture for InMemory {
    fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    fn clock(&self) -> &TestClock {
        &self.clock
    }

    async fn reopen(&mut self) {
        self.engine.close().await;
        self.open().await;
    }

    async fn crash(&mut self) {
        self.disk.restart(|| false);
        self.open().await;
    }
}

async fn open_in(
    adapter: Adapter,
    dir: &Path,
    clock: &Arc<TestClock>,
) -> Result<Arc<dyn Engine>, OpenError> {
    let settings = Settings {
        adapter,
        dir: dir.join("data"),
        cache_bytes: Settings::DEFAULT_CACHE_BYTES,
    };
    open(settings, clock.clone()).await
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

#[tokio::test]
async fn a_store_of_another_engine_or_a_newer_format_is_refused_with_a_way_out() {
    let store = InDirectory::new(Adapter::Fjall).await;
    store.engine.close().await;
    let refusal = async |adapter| {
        let refused = open_in(adapter, store.dir.path(), &store.clock).await;
        let text = refused.err().expect("it is refused").to_string();
        text.replace(&store.dir.path().display().to_string(), "/var")
    };
    assert_eq!(
        refusal(Adapter::Sled).await,
        "/var/data was written by the engine fjall, not by sled; set storage.engine to \"fjall\", \
         or name another directory and fill it with `postrider storage copy`"
    );
    let format = store.dir.path().join("data/FORMAT");
    assert_eq!(fs::read(&format).unwrap(), b"postrider fjall 1\n");
    fs::write(&format, "postrider fjall 2\n").unwrap();
    assert_eq!(
        refusal(Adapter::Fjall).await,
        "/var/data is of format 2, and this version of postrider reads up to 1; start the version \
         that wrote it or a newer one"
    );
    fs::write(&format, "something else\n").unwrap();
    assert_eq!(
        refusal(Adapter::Fjall).await,
        "/var/data holds \"something else\\n\", which is no store that postrider knows; name \
         another directory"
    );
}
