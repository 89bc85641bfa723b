//! The suite on the embedded engine, over each of its adapters.

mod erased;
mod lost;

use crate::support::keyring;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use async_trait::async_trait;
use postrider::storage::{
    ChunkSize, CopyError, Copying, Engine, LogPosition, Purpose, copy as copy_store,
    embedded::{Adapter, Disk, OpenError, Settings, Threads, open_for, open_in_memory},
};
use tempfile::TempDir;

use super::{
    build::*,
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
    others: Vec<TempDir>,
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
            others: Vec::new(),
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

    async fn another(&mut self) -> Arc<dyn Engine> {
        let dir = tempfile::tempdir().unwrap();
        let opened = open_in(self.adapter, dir.path(), &self.clock).await;
        self.others.push(dir);
        opened.unwrap()
    }

    /// A copy of the directory is what a kill would leave in it now. A day may
    /// be written anew meanwhile, and a copy has to be of one moment.
    async fn crash(&mut self) {
        self.dir = loop {
            let left = tempfile::tempdir().unwrap();
            let before = written(self.dir.path()).ok();
            let copied = copy(self.dir.path(), left.path());
            if copied.is_ok() && before.is_some() && written(self.dir.path()).ok() == before {
                break left;
            }
        };
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
        let engine = open_in_memory(&disk, Threads::Own, clock.clone())
            .await
            .unwrap();
        Self {
            disk,
            clock,
            engine,
        }
    }

    async fn open(&mut self) {
        let opened = open_in_memory(&self.disk, Threads::Own, self.clock.clone()).await;
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

    async fn another(&mut self) -> Arc<dyn Engine> {
        let opened = open_in_memory(&Disk::default(), Threads::Own, self.clock.clone()).await;
        opened.unwrap()
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
        keyring: keyring(),
    };
    open_for(Purpose::CopyInto, settings, clock.clone()).await
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&to)?;
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// When each file below a directory was last written.
fn written(dir: &Path) -> io::Result<BTreeMap<PathBuf, SystemTime>> {
    let mut times = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        times.insert(entry.path(), entry.metadata()?.modified()?);
        if entry.file_type()?.is_dir() {
            times.append(&mut written(&entry.path())?);
        }
    }
    Ok(times)
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

#[tokio::test]
async fn a_copy_goes_on_after_a_power_cut_at_any_write() {
    let source = InMemory::new().await;
    let engine = source.engine();
    subscribe(&**engine, 2).await;
    for day in 0..3 {
        let id = deliver(&**engine, event(1, days_after(day)), &[1, 2]).await;
        let records = vec![succeeded(id, 1)];
        engine.record_attempts(records).await.unwrap();
    }
    let size = ChunkSize {
        records: 4,
        bytes: 1_000_000,
    };
    for writes in 0.. {
        let mut target = InMemory::new().await;
        target.disk.cut_power_after(writes);
        let cut = copy_store(&**engine, "source", &*target.engine, size, &mut |_| {}).await;
        if cut.is_ok() {
            assert!(writes > 10, "{writes}");
            return;
        }
        assert!(matches!(cut, Err(CopyError::Target(_))), "{cut:?}");
        // Of what was not synced, this or that is there all the same.
        let mut number = writes;
        let survives = || {
            number += 1;
            number.is_multiple_of(2)
        };
        target.disk.restart(survives);
        target.open().await;
        let copied = copy_store(&**engine, "source", &*target.engine, size, &mut |_| {}).await;
        copied.unwrap();
        for _ in 0..2 {
            let log = read_all(&*target.engine, LogPosition::default()).await;
            assert_eq!(log, read_all(&**engine, LogPosition::default()).await);
            let queue = target.engine.due(sub(2), None, 9).await.unwrap();
            assert_eq!(queue.entries.len(), 3);
            target.reopen().await;
        }
    }
}

#[tokio::test]
async fn a_copy_that_finds_no_room_goes_on_when_there_is_some() {
    let source = InMemory::new().await;
    let engine = source.engine();
    for number in 0..20 {
        deliver(&**engine, event(number, NOON), &[1]).await;
    }
    let size = ChunkSize {
        records: 4,
        bytes: 1_000_000,
    };
    let target = InMemory::new().await;
    let mut told = 0;
    let mut interfere = |_| {
        told += 1;
        target.disk.set_full(told == 3);
    };
    let refused = copy_store(&**engine, "source", &*target.engine, size, &mut interfere).await;
    assert!(matches!(refused, Err(CopyError::Full)), "{refused:?}");
    target.disk.set_full(false);
    let copied = copy_store(&**engine, "source", &*target.engine, size, &mut |_| {}).await;
    copied.unwrap();
}

#[tokio::test]
async fn an_unfinished_copy_is_opened_by_nothing_but_a_copy() {
    let store = InDirectory::new(Adapter::Sled).await;
    let copying = Copying {
        source: "fjall:/var/old".to_owned(),
        fingerprint: Vec::new(),
        after: None,
        done: 0,
    };
    store.engine.note_copy(Some(copying)).await.unwrap();
    store.engine.close().await;
    let dir = store.dir.path().join("data");
    for purpose in [Purpose::Serve, Purpose::Read] {
        let settings = Settings {
            adapter: Adapter::Sled,
            dir: dir.clone(),
            cache_bytes: Settings::DEFAULT_CACHE_BYTES,
            keyring: keyring(),
        };
        let refused = open_for(purpose, settings, store.clock.clone()).await;
        assert_eq!(
            refused.err().expect("it is refused").to_string(),
            format!(
                "{} holds a part of fjall:/var/old only; run `postrider storage copy` from there \
                 once more, which goes on where it stopped, or remove the directory",
                dir.display()
            )
        );
    }
}

#[tokio::test]
async fn a_store_to_be_read_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        adapter: Adapter::Fjall,
        dir: dir.path().join("data"),
        cache_bytes: Settings::DEFAULT_CACHE_BYTES,
        keyring: keyring(),
    };
    let refused = open_for(Purpose::Read, settings, TestClock::new()).await;
    assert!(matches!(refused, Err(OpenError::Missing { .. })));
    assert!(!dir.path().join("data").exists());
}
