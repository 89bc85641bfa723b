//! Opens a store: brings the database up to date, and starts what writes,
//! watches and keeps the leases.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    Unsuitable, Url, accept,
    connect::Connections,
    days::Days,
    group, lease, listen, load, migrate,
    ownership::Ownership,
    record,
    state::{Nudge, State},
    store::{Intakes, Store},
    watch as watching,
};
use crate::{
    domain::Clock,
    storage::{CommitNumber, Engine, Error, Health, LogPosition},
};

/// Hints that a slow listener may be behind before it loses some.
const HINTS: usize = 1_024;
const CHANGES: usize = 1_024;

/// Where a store is and what it may use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database.
    pub url: Url,
    /// Most connections to it.
    pub connections: usize,
    /// How long a process that died keeps its queues.
    pub lease: Duration,
}

impl Settings {
    /// The settings of a store in this database.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            connections: 16,
            lease: Duration::from_secs(10),
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer version of this program migrated it.
    #[error(
        "{url} has migration {found}, and this version of postrider knows migrations up to \
         {known}; start the version that made it or a newer one"
    )]
    Newer {
        /// The database.
        url: Url,
        /// Its last migration.
        found: i32,
        /// The last that is known.
        known: i32,
    },
    /// A migration is not what it was when it was applied.
    #[error(
        "{url} has a migration {number} that is not the one this version of postrider has; \
         something else writes to its schema, or this is a build of its own"
    )]
    Altered {
        /// The database.
        url: Url,
        /// Which migration.
        number: i32,
    },
    /// The server cannot hold a store.
    #[error("{url} cannot hold a store: {why}")]
    Unsuitable {
        /// The database.
        url: Url,
        /// Why not.
        why: Unsuitable,
    },
    /// The database refused, or cannot be reached.
    #[error("cannot open {url}")]
    Database {
        /// The database.
        url: Url,
        /// Why.
        #[source]
        source: Error,
    },
}

impl OpenError {
    pub(super) fn database(url: &Url) -> impl FnOnce(Error) -> Self {
        let url = url.clone();
        move |source| Self::Database { url, source }
    }
}

/// Opens the store in a database, which is migrated first.
pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Engine>, OpenError> {
    let url = settings.url.clone();
    migrate::migrate(&url).await?;
    let store = start(settings, clock).await;
    store.map_err(OpenError::database(&url))
}

async fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Engine>, Error> {
    let own = settings.connections / 2;
    let state = Arc::new(State {
        clock,
        connections: Connections::to(&settings.url, settings.connections - own)?,
        own: Connections::to(&settings.url, own)?,
        days: Days::default(),
        ownership: Ownership::new(member()?),
        health: watch::Sender::new(Health::Writable),
        log_end: watch::Sender::new(LogPosition::default()),
        hints: broadcast::Sender::new(HINTS),
        changes: broadcast::Sender::new(CHANGES),
        announced: Mutex::new(CommitNumber::default()),
        nudge: Nudge::default(),
        told: Mutex::default(),
        closing: CancellationToken::new(),
        leaving: CancellationToken::new(),
    });
    let tasks = TaskTracker::new();
    let (accepting, accepts) = group::intake(accept::GROUP);
    let accepts = Arc::new(accepts);
    for _ in 0..accept::WRITERS {
        tasks.spawn(accept::write(Arc::clone(&state), Arc::clone(&accepts)));
    }
    let (recording, records) = group::intake(record::GROUP);
    let records = Arc::new(records);
    for _ in 0..record::WRITERS {
        tasks.spawn(record::write(Arc::clone(&state), Arc::clone(&records)));
    }
    let (loading, loads) = group::intake(load::GROUP);
    let loads = Arc::new(loads);
    for _ in 0..load::READERS {
        tasks.spawn(load::read(Arc::clone(&state), Arc::clone(&loads)));
    }
    let leases = TaskTracker::new();
    let keeper = lease::Keeper::begin(Arc::clone(&state), settings.lease).await?;
    leases.spawn(keeper.keep());
    let watch = watching::Watch::begin(Arc::clone(&state)).await?;
    tasks.spawn(watch.run());
    tasks.spawn(listen::listen(Arc::clone(&state)));
    Ok(Arc::new(Store {
        state,
        intakes: Mutex::new(Some(Intakes {
            accepting,
            recording,
            loading,
        })),
        tasks,
        keeper: leases,
    }))
}

/// A name for this process among the others, new with each start.
pub(super) fn member() -> Result<Uuid, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Engine(Box::new(error)))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
