//! Opens a store: takes the directory, finds what is there, and starts the
//! committer.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, mpsc, watch};

use super::{
    change,
    committer::Committer,
    day::{Day, Days},
    dir::{DataDir, OpenError},
    index::SubscriptionIndex,
    key,
    kv::{Batch, Order, Partition, Space, Step},
    piece,
    row::{read_request, read_subscription},
    sled::SledSpace,
    state::State,
    store::Store,
    tail::LogTail,
};
use crate::{
    domain::{Clock, SubscriptionId, TenantId, Timestamp},
    storage::{CommitNumber, Engine, Error, Health, LogPosition},
};

/// Name of the partition that is of no day.
const CATALOG: &str = "catalog";

/// Writes that may wait for the committer; further callers wait with theirs.
const WAITING_WRITES: usize = 1_024;
/// Hints that a slow listener may be behind before it loses some.
const HINTS: usize = 256;
const CHANGES: usize = 1_024;

/// Where a store is and what it may use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data directory.
    pub dir: PathBuf,
    /// About how much of the store is kept in memory: half of it for today's
    /// events.
    pub cache_bytes: u64,
}

impl Settings {
    /// Enough for today's events to be delivered from memory.
    pub const DEFAULT_CACHE_BYTES: u64 = 64 * 1024 * 1024;
}

/// Opens the store in a directory, or makes a new one there. The store is this
/// process's alone until it is closed or dropped.
pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Engine>, OpenError> {
    let span = tracing::Span::current();
    let dir = settings.dir.clone();
    let opening =
        tokio::task::spawn_blocking(move || span.in_scope(|| open_blocking(settings, clock)));
    let store = opening
        .await
        .unwrap_or_else(|panic| Err(OpenError::corrupt(&dir, &panic)))?;
    Ok(Arc::new(store))
}

fn open_blocking(settings: Settings, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
    let dir = DataDir::take(settings.dir)?;
    let catalog = open_catalog(dir.path(), settings.cache_bytes / 16)?;
    let at = dir.path().join(CATALOG);
    forget_requests(&*catalog, clock.now()).map_err(|error| OpenError::corrupt(&at, &error))?;
    let subscriptions =
        read_subscriptions(&*catalog).map_err(|error| OpenError::corrupt(&at, &error))?;
    let first_day = read_first_day(&*catalog).map_err(|error| OpenError::from_kv(&at, error))?;

    let at = dir.days();
    let space = SledSpace::new(at.clone()).map_err(|error| OpenError::io(&at, error))?;
    let days = Days::find(Box::new(space), settings.cache_bytes)
        .map_err(|error| OpenError::from_kv(&at, error))?;
    let last_position = last_position(&days, &at)?;

    let state = Arc::new(State {
        clock,
        days,
        subscriptions: RwLock::new(subscriptions),
        in_flight: Mutex::default(),
        tail: LogTail::new(last_position),
        log_end: watch::Sender::new(last_position),
        health: watch::Sender::new(Health::Writable),
        hints: broadcast::Sender::new(HINTS),
        changes: broadcast::Sender::new(CHANGES),
        first_day: Mutex::new(first_day),
        announced: 0.into(),
    });
    let (writes, waiting) = mpsc::channel(WAITING_WRITES);
    let ended = watch::Sender::new(false);
    let store = Store::new(Arc::clone(&state), writes, ended.subscribe());
    let path = dir.path().to_owned();
    let committer = Committer {
        state,
        catalog,
        commit: CommitNumber::default(),
        last_position,
        ended,
        dir,
    };
    thread::Builder::new()
        .name("store-committer".to_owned())
        .spawn(move || committer.run(waiting))
        .map_err(|error| OpenError::io(&path, error))?;
    Ok(store)
}

fn open_catalog(dir: &Path, cache_bytes: u64) -> Result<Arc<dyn Partition>, OpenError> {
    let space = SledSpace::new(dir.to_owned()).map_err(|error| OpenError::io(dir, error))?;
    space
        .open(CATALOG, cache_bytes)
        .map_err(|error| OpenError::from_kv(&dir.join(CATALOG), error))
}

/// The position of the last attempt on any day.
fn last_position(days: &Days, dir: &Path) -> Result<LogPosition, OpenError> {
    let mut last = LogPosition::default();
    for day in days.all() {
        let at = dir.join(day.to_string());
        let partition = days
            .get(day)
            .map_err(|error| match error {
                Error::Corrupt(why) => OpenError::corrupt(&at, &why),
                error => OpenError::io(&at, std::io::Error::other(error)),
            })?
            .into_iter();
        for partition in partition {
            let all = key::attempts(LogPosition(0), LogPosition(u64::MAX));
            partition
                .scan(all, Order::Backwards, &mut |key, _| {
                    last = last.max(key::position_of(key).unwrap_or_default());
                    Step::Break(())
                })
                .map_err(|error| OpenError::from_kv(&at, error))?;
        }
    }
    Ok(last)
}

fn read_first_day(catalog: &dyn Partition) -> super::kv::Result<Option<Day>> {
    let stored = catalog.get(&key::first_day())?;
    Ok(stored
        .and_then(|number| number.try_into().ok())
        .map(|number| Day::from_number(u64::from_be_bytes(number))))
}

fn read_subscriptions(catalog: &dyn Partition) -> Result<SubscriptionIndex, Error> {
    let mut index = SubscriptionIndex::default();
    for key in keys(catalog, key::subscriptions())? {
        let id = key.last_chunk().copied().map(SubscriptionId::from_bytes);
        let (Some(tenant), Some(id)) = (tenant_of(&key), id) else {
            return Err(piece::malformed(&key));
        };
        let row = piece::get(catalog, &key)?.ok_or_else(|| piece::malformed(&key))?;
        let subscription =
            read_subscription(tenant, id, &row).map_err(|_| piece::malformed(&key))?;
        index.put(Arc::new(subscription));
    }
    Ok(index)
}

/// Removes the request ids that are forgotten by now.
fn forget_requests(catalog: &dyn Partition, now: Timestamp) -> Result<(), Error> {
    let mut batch = Batch::default();
    for key in keys(catalog, key::requests())? {
        let tenant = tenant_of(&key).ok_or_else(|| piece::malformed(&key))?;
        let row = piece::get(catalog, &key)?.ok_or_else(|| piece::malformed(&key))?;
        let (requested, _) = read_request(tenant, &row).map_err(|_| piece::malformed(&key))?;
        if change::is_forgotten(requested, now) {
            piece::remove(catalog, &mut batch, key)?;
        }
    }
    if batch.is_empty() {
        return Ok(());
    }
    catalog.commit(batch).map_err(super::day::from_kv)
}

fn keys(catalog: &dyn Partition, bounds: super::kv::Bounds) -> Result<Vec<Vec<u8>>, Error> {
    let mut keys = Vec::new();
    catalog
        .scan(bounds, Order::Forwards, &mut |key, _| {
            keys.push(key.to_vec());
            Step::Continue(())
        })
        .map_err(super::day::from_kv)?;
    Ok(keys)
}

/// The tenant of a key that names one.
fn tenant_of(key: &[u8]) -> Option<TenantId> {
    let name = key.get(1..)?.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(name).ok()?.parse().ok()
}
