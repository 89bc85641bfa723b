//! Opens a store: brings the database up to date, and starts what writes, and
//! where it is served what watches and keeps the leases.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    Unsuitable, Url, accept,
    claim::Claim,
    connect::Connections,
    days::Days,
    group, lease,
    left_out::LeftOut,
    listen, load, migrate,
    ownership::Ownership,
    record,
    state::{Nudge, State},
    store::{Intakes, Store},
    watch as watching,
};
use crate::{
    domain::{Clock, Keyring},
    storage::{CommitNumber, Engine, Error, Health, LogPosition, Purpose},
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
    /// What secrets are sealed by.
    pub keyring: Keyring,
}

impl Settings {
    /// The settings of a store in this database.
    pub fn new(url: Url, keyring: Keyring) -> Self {
        Self {
            url,
            keyring,
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
    /// There is no store to be read.
    #[error("there is no store in {url}")]
    Missing {
        /// The database.
        url: Url,
    },
    /// An older version made it, and it is only to be read.
    #[error("{url} is of an older version; run `postrider migrate` first")]
    Older {
        /// The database.
        url: Url,
    },
    /// Somebody has it, or wants it alone.
    #[error(
        "{url} is in use by another process; stop all servers first, or wait for the \
         `postrider storage` that is at work; one that was killed is forgotten after some seconds"
    )]
    InUse {
        /// The database.
        url: Url,
    },
    /// A copy into it was begun and not finished.
    #[error(
        "{url} holds a part of {source_url} only; run `postrider storage copy` from there once \
         more, which goes on where it stopped, or drop the schema postrider in the database"
    )]
    Unfinished {
        /// The database.
        url: Url,
        /// What was copied.
        source_url: String,
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

/// Opens the store in a database, which is migrated first, to be served.
pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Engine>, OpenError> {
    open_for(Purpose::Serve, settings, clock).await
}

/// Opens the store in a database. Only to be served by several processes at
/// once, and only to be copied into with a copy that is not finished.
pub async fn open_for(
    purpose: Purpose,
    settings: Settings,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Engine>, OpenError> {
    let url = settings.url.clone();
    let database = OpenError::database(&url);
    if purpose == Purpose::Read {
        migrate::expect(&url).await?;
    } else {
        migrate::migrate(&url).await?;
    }
    let opened = async {
        let state = Arc::new(begin(&settings, clock)?);
        let claim = match purpose {
            Purpose::Serve => Claim::joining(&state.own).await?,
            Purpose::Read | Purpose::CopyInto => Claim::alone(&state.own).await?,
        };
        let Some(claim) = claim else {
            return Ok(Opened::InUse);
        };
        state.expect_keys().await?;
        if purpose != Purpose::Read {
            state.mark_key().await?;
        }
        if purpose != Purpose::CopyInto
            && let Some(copying) = state.unfinished().await?
        {
            return Ok(Opened::Unfinished(copying.source));
        }
        let store = start(purpose, &state, settings.lease, claim).await?;
        Ok(Opened::Store(Arc::new(store)))
    };
    match opened.await.map_err(database)? {
        Opened::Store(store) => Ok(store),
        Opened::InUse => Err(OpenError::InUse { url }),
        Opened::Unfinished(source_url) => Err(OpenError::Unfinished { url, source_url }),
    }
}

/// What came of opening.
enum Opened {
    Store(Arc<Store>),
    InUse,
    Unfinished(String),
}

fn begin(settings: &Settings, clock: Arc<dyn Clock>) -> Result<State, Error> {
    let own = settings.connections / 2;
    Ok(State {
        clock,
        keyring: settings.keyring.clone(),
        connections: Connections::to(&settings.url, settings.connections - own)?,
        own: Connections::to(&settings.url, own)?,
        days: Days::default(),
        ownership: Ownership::new(member()?),
        health: watch::Sender::new(Health::Writable),
        full: Mutex::default(),
        log_end: watch::Sender::new(LogPosition::default()),
        hints: broadcast::Sender::new(HINTS),
        changes: broadcast::Sender::new(CHANGES),
        announced: Mutex::new(CommitNumber::default()),
        left_out: LeftOut::default(),
        nudge: Nudge::default(),
        told: Mutex::default(),
        closing: CancellationToken::new(),
        leaving: CancellationToken::new(),
    })
}

/// Starts the writers; where the store is served, joins those that serve it.
async fn start(
    purpose: Purpose,
    state: &Arc<State>,
    lease: Duration,
    claim: Claim,
) -> Result<Store, Error> {
    let tasks = TaskTracker::new();
    let (accepting, accepts) = group::intake(accept::GROUP);
    let accepts = Arc::new(accepts);
    for _ in 0..accept::WRITERS {
        tasks.spawn(accept::write(Arc::clone(state), Arc::clone(&accepts)));
    }
    let (recording, records) = group::intake(record::GROUP);
    let records = Arc::new(records);
    for number in 0..record::WRITERS {
        let writer = record::write(Arc::clone(state), Arc::clone(&records), number);
        tasks.spawn(writer);
    }
    let (loading, loads) = group::intake(load::GROUP);
    let loads = Arc::new(loads);
    for _ in 0..load::READERS {
        tasks.spawn(load::read(Arc::clone(state), Arc::clone(&loads)));
    }
    let store = Store {
        state: Arc::clone(state),
        intakes: Mutex::new(Some(Intakes {
            accepting,
            recording,
            loading,
        })),
        tasks,
        keeper: TaskTracker::new(),
        claim: Mutex::new(Some(claim)),
    };
    if purpose == Purpose::Serve {
        serve(&store, lease).await?;
    } else {
        // As every engine does, so that two stores compare.
        state.forget_requests(&state.connection().await?).await?;
    }
    Ok(store)
}

/// Joins the processes that serve the store. From then on its membership says
/// so, and no claim has to.
async fn serve(store: &Store, lease: Duration) -> Result<(), Error> {
    let state = &store.state;
    let keeper = lease::Keeper::begin(Arc::clone(state), lease).await?;
    // One that came meanwhile did not see this one.
    state.expect_mark().await?;
    store.keeper.spawn(keeper.keep());
    let watch = watching::Watch::begin(Arc::clone(state)).await?;
    store.tasks.spawn(watch.run());
    store.tasks.spawn(listen::listen(Arc::clone(state)));
    let claim = store.claim.lock().take();
    if let Some(claim) = claim {
        claim.release().await;
    }
    Ok(())
}

/// A name for this process among the others, new with each start.
pub(super) fn member() -> Result<Uuid, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Engine(Box::new(error)))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
