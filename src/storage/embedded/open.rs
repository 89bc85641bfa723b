//! Opens a store: takes the directory, finds what is there, and starts the
//! committer.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, mpsc, watch};

use super::{
    committer::Committer,
    day::{Day, Days},
    dir::{DataDir, OpenError},
    fjall::FjallPartition,
    folder::{Database, Folder},
    home::Home,
    index::SubscriptionIndex,
    key::{self, Tag},
    kv::{Batch, Order, Partition, Space, Step},
    memory::Disk,
    piece, rest,
    retain::Gone,
    rewrite::Rewrites,
    room::{self, Reserve},
    row::{read_copying, read_request, read_subscription},
    sled::SledPartition,
    state::State,
    store::Store,
    tail::LogTail,
    threads::Threads,
    untimed::Untimed,
    witness,
};
use crate::{
    domain::{Clock, Keyring, SubscriptionId, Timestamp},
    storage::{
        CommitNumber, Copying, Engine, Error, Health, LogPosition, Purpose,
        idempotency::is_forgotten,
    },
};

/// Name of the partition that is of no day.
pub(super) const CATALOG: &str = "catalog";

/// Writes that may wait for the committer; further callers wait with theirs.
const WAITING_WRITES: usize = 1_024;
/// Hints that a slow listener may be behind before it loses some.
const HINTS: usize = 256;
const CHANGES: usize = 1_024;

/// The key-value stores that can stand below the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// sled.
    Sled,
    /// fjall.
    Fjall,
}

impl Adapter {
    /// The name that is configured, and that the store remembers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Fjall => "fjall",
        }
    }
}

/// Where a store is and what it may use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What keeps the rows. A store that another one wrote is refused.
    pub adapter: Adapter,
    /// The data directory.
    pub dir: PathBuf,
    /// About how much of the store is kept in memory: half of it for today's
    /// events.
    pub cache_bytes: u64,
    /// What secrets are sealed by.
    pub keyring: Keyring,
}

impl Settings {
    /// Enough for today's events to be delivered from memory.
    pub const DEFAULT_CACHE_BYTES: u64 = 64 * 1024 * 1024;
}

/// Opens the store in a directory, or makes a new one there. The store is this
/// process's alone until it is closed or dropped.
pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Engine>, OpenError> {
    open_for(Purpose::Serve, settings, clock).await
}

/// Opens the store in a directory. Only to be copied into, one with a copy
/// that is not finished.
pub async fn open_for(
    purpose: Purpose,
    settings: Settings,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Engine>, OpenError> {
    let dir = settings.dir.clone();
    begin(Threads::Own, dir, move || match settings.adapter {
        Adapter::Sled => start_in::<SledPartition>(purpose, settings, clock),
        Adapter::Fjall => start_in::<FjallPartition>(purpose, settings, clock),
    })
    .await
}

/// Opens the store on a disk in memory, whatever for: for tests and simulation.
pub async fn open_in_memory(
    disk: &Disk,
    threads: Threads,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Engine>, OpenError> {
    let dir = PathBuf::from("memory");
    let disk = disk.clone();
    begin(threads, dir.clone(), move || {
        let Some(owner) = disk.take() else {
            return Err(OpenError::Locked { dir });
        };
        let (root, days) = (disk.space("").on(threads), disk.space("days/"));
        let dir = DataDir::locked(dir, "memory".to_owned(), owner);
        let keyring = Disk::keyring();
        let days = Box::new(days);
        start(Purpose::CopyInto, dir, &root, days, 0, keyring, clock)
    })
    .await
}

/// Opens a store where that may block.
async fn begin(
    threads: Threads,
    dir: PathBuf,
    open: impl FnOnce() -> Result<Store, OpenError> + Send + 'static,
) -> Result<Arc<dyn Engine>, OpenError> {
    let opened = threads.blocking(open).await;
    let store = opened.unwrap_or_else(|panic| Err(OpenError::corrupt(&dir, &panic)))?;
    store.keep_rewriting();
    Ok(Arc::new(store))
}

fn start_in<D: Database>(
    purpose: Purpose,
    settings: Settings,
    clock: Arc<dyn Clock>,
) -> Result<Store, OpenError> {
    if purpose == Purpose::Read {
        DataDir::expect(&settings.dir)?;
    }
    let dir = DataDir::take(settings.dir, settings.adapter.name())?;
    let folder =
        |dir: PathBuf| Folder::<D>::new(dir.clone()).map_err(|error| OpenError::io(&dir, error));
    let root = folder(dir.path().to_owned())?;
    let days = Box::new(folder(dir.days())?);
    let (cache, keyring) = (settings.cache_bytes, settings.keyring);
    start(purpose, dir, &root, days, cache, keyring, clock)
}

/// Starts the store of a directory: the catalog is a partition of `root`.
pub(super) fn start(
    purpose: Purpose,
    dir: DataDir,
    root: &dyn Space,
    days: Box<dyn Space>,
    cache_bytes: u64,
    keyring: Keyring,
    clock: Arc<dyn Clock>,
) -> Result<Store, OpenError> {
    let at = dir.path().join(CATALOG);
    let from_kv = |error| OpenError::from_kv(&at, error);
    let days =
        Days::find(days, cache_bytes).map_err(|error| OpenError::from_kv(&dir.days(), error))?;
    days.sweep()
        .map_err(|error| OpenError::from_kv(&dir.days(), error))?;
    let reserve = Reserve::new(dir.reserve());
    reserve
        .ease(&days)
        .map_err(|error| OpenError::io(dir.path(), error))?;
    let catalog = root.open(CATALOG, cache_bytes / 16).map_err(from_kv)?;
    let copying = read_unfinished(&*catalog).map_err(|error| from_storage(&at, error))?;
    if let Some(copying) = copying.as_ref().filter(|_| purpose != Purpose::CopyInto) {
        return Err(OpenError::Unfinished {
            dir: dir.path().to_owned(),
            source_url: copying.source.clone(),
        });
    }
    forget_requests(&*catalog, &keyring, clock.now()).map_err(|error| from_storage(&at, error))?;
    let subscriptions =
        read_subscriptions(&*catalog, &keyring).map_err(|error| from_storage(&at, error))?;
    let first_day = read_first_day(&*catalog).map_err(from_kv)?;
    let gone = Gone::read(&*catalog).map_err(|error| from_storage(&at, error))?;
    let untimed = Untimed::read(&*catalog).map_err(|error| from_storage(&at, error))?;
    let rewrites = Rewrites::read(&days, &*catalog).map_err(|error| from_storage(&at, error))?;
    let last_position = recover_end(&days, &*catalog, &dir)?.max(gone.last);

    let state = Arc::new(State {
        clock,
        format: dir.format().to_owned(),
        keyring,
        days,
        catalog: Mutex::new(Some(Arc::clone(&catalog))),
        subscriptions: RwLock::new(subscriptions),
        in_flight: Mutex::default(),
        tail: LogTail::new(last_position),
        log_end: watch::Sender::new(last_position),
        health: watch::Sender::new(Health::Writable),
        hints: broadcast::Sender::new(HINTS),
        ownership: watch::Sender::new(0),
        changes: broadcast::Sender::new(CHANGES),
        first_day: Mutex::new(first_day),
        gone: Mutex::new(gone),
        untimed: Mutex::new(untimed),
        rewrites: Arc::new(rewrites),
        copying: Mutex::new(copying),
        reserve,
        full_looks: 0.into(),
        home: Home::of([dir.path(), &dir.days()]),
        announced: 0.into(),
    });
    let path = dir.path().to_owned();
    room::watch(&state, root.threads()).map_err(|error| OpenError::io(&path, error))?;
    let (writes, waiting) = mpsc::channel(WAITING_WRITES);
    let group = root.group();
    let ended = watch::Sender::new(false);
    let store = Store::new(
        Arc::clone(&state),
        writes,
        ended.subscribe(),
        root.threads(),
    );
    let committer = Committer {
        state,
        catalog,
        commit: CommitNumber::default(),
        last_position,
        group,
        rewrite: None,
        ended,
        dir,
    };
    let committing = root.threads().commit(committer, waiting);
    committing.map_err(|error| OpenError::io(&path, error))?;
    tracing::info!(dir = %path.display(), log_end = last_position.0, "store opened");
    Ok(store)
}

/// The position of the last attempt on any day. Opens the days that are not
/// at rest, and tells of those that hold less than they did.
fn recover_end(
    days: &Days,
    catalog: &dyn Partition,
    dir: &DataDir,
) -> Result<LogPosition, OpenError> {
    let at = dir.path().join(CATALOG);
    let mut end = rest::recall(days, catalog).map_err(|error| from_storage(&at, error))?;
    let awake = days.awake().map_err(|error| from_storage(&at, error))?;
    for day in awake {
        let at = dir.days().join(day.to_string());
        let opened = days.get(day).map_err(|error| from_storage(&at, error))?;
        let Some(partition) = opened else {
            continue;
        };
        let missing = witness::missing(day, &*partition, catalog);
        for what in missing.map_err(|error| from_storage(&at, error))? {
            tracing::error!(
                dir = %at.display(),
                what,
                "part of the store is damaged, it has lost this and perhaps more"
            );
        }
        let last = rest::last_attempt(&*partition).map_err(|error| from_storage(&at, error))?;
        end = end.max(last);
    }
    rest::settle(days, catalog).map_err(|error| from_storage(&at, error))?;
    Ok(end)
}

pub(super) fn from_storage(dir: &Path, error: Error) -> OpenError {
    match error {
        Error::Corrupt(why) => OpenError::corrupt(dir, &why),
        error => OpenError::io(dir, std::io::Error::other(error)),
    }
}

fn read_first_day(catalog: &dyn Partition) -> super::kv::Result<Option<Day>> {
    let stored = catalog.get(&key::first_day())?;
    Ok(stored
        .and_then(|number| key::number_of(&number))
        .map(Day::from_number))
}

fn read_unfinished(catalog: &dyn Partition) -> Result<Option<Copying>, Error> {
    let key = key::copying();
    let row = piece::get(catalog, &key)?;
    row.map(|row| read_copying(&row).map_err(|_| piece::malformed(&key)))
        .transpose()
}

fn read_subscriptions(
    catalog: &dyn Partition,
    keyring: &Keyring,
) -> Result<SubscriptionIndex, Error> {
    let mut index = SubscriptionIndex::default();
    for key in keys(catalog, key::every(Tag::Subscription))? {
        let malformed = || piece::malformed(&key);
        let (tenant, id) = key::named_of(&key).ok_or_else(malformed)?;
        let id = SubscriptionId::from_bytes(id.try_into().map_err(|_| malformed())?);
        let row = piece::get(catalog, &key)?.ok_or_else(|| piece::malformed(&key))?;
        let read = read_subscription(tenant, id, &row, keyring);
        let subscription = read.map_err(|why| why.into_error(malformed))?;
        index.put(Arc::new(subscription));
    }
    Ok(index)
}

/// Removes the request ids that are forgotten by now.
fn forget_requests(
    catalog: &dyn Partition,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<(), Error> {
    let mut batch = Batch::default();
    for key in keys(catalog, key::every(Tag::Request))? {
        let (tenant, _) = key::named_of(&key).ok_or_else(|| piece::malformed(&key))?;
        let row = piece::get(catalog, &key)?.ok_or_else(|| piece::malformed(&key))?;
        let read = read_request(tenant, &row, keyring);
        let (requested, _) = read.map_err(|why| why.into_error(|| piece::malformed(&key)))?;
        if is_forgotten(requested, now) {
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
