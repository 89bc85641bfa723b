//! The engines that are measured, each opened on a directory of its own below
//! the target directory, where a real disk is.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path, sync::Arc};

use postrider::domain::{Keyring, RootKey};
use postrider::storage::{
    Engine,
    embedded::{self, Adapter, Disk, Settings, Threads},
    postgres,
};

use crate::{
    cluster::{Cluster, Fsync, connect},
    load::{self, MonotonicClock},
};

/// What came of one run.
pub struct Run {
    pub per_second: f64,
    /// What the store takes on the disk, for each event.
    pub bytes_per_event: f64,
}

/// An engine to be measured.
#[derive(Debug, Clone, Copy)]
pub enum Contender {
    Embedded(Adapter),
    Memory,
    Postgres,
}

impl Contender {
    pub const ALL: [Self; 4] = [
        Self::Embedded(Adapter::Sled),
        Self::Embedded(Adapter::Fjall),
        Self::Memory,
        Self::Postgres,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded(adapter) => adapter.name(),
            Self::Memory => "memory",
            Self::Postgres => "postgres",
        }
    }

    /// Puts load on a new store.
    pub async fn measure(self, complete: bool) -> Run {
        if let Self::Postgres = self {
            return measure_postgres(complete).await;
        }
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let clock = Arc::new(MonotonicClock::default());
        let engine = self.open(dir.path(), clock.clone()).await;
        let load = load::put_on(&engine, &clock, complete).await;
        engine.close().await;
        Run {
            per_second: load.per_second,
            bytes_per_event: size(dir.path()).unwrap() / load.events,
        }
    }

    async fn open(self, dir: &Path, clock: Arc<MonotonicClock>) -> Arc<dyn Engine> {
        let opened = match self {
            Self::Embedded(adapter) => {
                let settings = Settings {
                    adapter,
                    dir: dir.to_owned(),
                    cache_bytes: Settings::DEFAULT_CACHE_BYTES,
                    keyring: keyring(),
                };
                embedded::open(settings, clock).await
            }
            Self::Memory | Self::Postgres => {
                embedded::open_in_memory(&Disk::default(), Threads::Own, clock).await
            }
        };
        opened.unwrap()
    }
}

/// A cluster of its own, which syncs, and is gone afterwards.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
async fn measure_postgres(complete: bool) -> Run {
    let cluster = Cluster::start(Fsync::On);
    let (url, text_url) = cluster.database().await;
    let clock = Arc::new(MonotonicClock::default());
    let engine = postgres::open(postgres::Settings::new(url, keyring()), clock.clone()).await;
    let engine = engine.unwrap();
    let load = load::put_on(&engine, &clock, complete).await;
    engine.close().await;
    let size = "SELECT pg_database_size(current_database())";
    let size = connect(&text_url).await.query_one(size, &[]).await.unwrap();
    Run {
        per_second: load.per_second,
        bytes_per_event: size.get::<_, i64>(0) as f64 / load.events,
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
fn size(dir: &Path) -> io::Result<f64> {
    let mut size = 0.0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        size += if entry.file_type()?.is_dir() {
            self::size(&entry.path())?
        } else {
            (entry.metadata()?.blocks() * 512) as f64
        };
    }
    Ok(size)
}

fn keyring() -> Keyring {
    Keyring::new(&RootKey::generate([7; 32]), &[])
}
