//! What the parts of an open store share.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, broadcast, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    connect::{Connection, Connections},
    days::Days,
    left_out::LeftOut,
    ownership::Ownership,
};
use crate::{
    domain::{Clock, Keyring, SubscriptionId, Version},
    storage::{CommitNumber, Error, Health, Hint, LogPosition, Result, SubscriptionChange},
};

/// How long a disk that was found full counts as full if nobody finds out: who
/// asks for readiness sends no events to where there is none.
const FULL_FOR: Duration = Duration::from_secs(10);

/// Everything of an open store but the intakes of its writers.
pub(super) struct State {
    pub(super) clock: Arc<dyn Clock>,
    /// What secrets are sealed by.
    pub(super) keyring: Keyring,
    /// For what callers ask.
    pub(super) connections: Connections,
    /// For what this process does by itself: callers cannot use them up.
    pub(super) own: Connections,
    pub(super) days: Days,
    pub(super) ownership: Ownership,
    pub(super) health: watch::Sender<Health>,
    /// When the disk was found full the last time, until events are taken again.
    pub(super) full: Mutex<Option<Instant>>,
    pub(super) log_end: watch::Sender<LogPosition>,
    pub(super) hints: broadcast::Sender<Arc<Hint>>,
    pub(super) changes: broadcast::Sender<SubscriptionChange>,
    /// The last commit whose hint was sent.
    pub(super) announced: Mutex<CommitNumber>,
    /// What the queues go on without.
    pub(super) left_out: LeftOut,
    /// Makes the watch look early.
    pub(super) nudge: Nudge,
    /// The latest version of each subscription whose change was told.
    pub(super) told: Mutex<HashMap<SubscriptionId, Version>>,
    /// Ends what watches, and the waiting of the writers.
    pub(super) closing: CancellationToken,
    /// Ends the lease, after the writers have ended.
    pub(super) leaving: CancellationToken,
}

/// Makes the watch look early: at what this process wrote, or others did.
#[derive(Debug, Default)]
pub(super) struct Nudge {
    pub(super) look: Notify,
    /// Makes the keeper of the lease look for free shards.
    pub(super) shards: Notify,
    tell: AtomicBool,
    heard: AtomicBool,
}

impl Nudge {
    /// Something was written that tails may show.
    pub(super) fn look(&self) {
        self.look.notify_one();
    }

    /// Something was written that concerns other processes.
    pub(super) fn tell(&self) {
        self.tell.store(true, Ordering::Relaxed);
        self.look.notify_one();
    }

    /// Another process wrote something that concerns this one.
    pub(super) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
        self.look.notify_one();
    }

    /// Whether others are to be told, once.
    pub(super) fn take_tell(&self) -> bool {
        self.tell.swap(false, Ordering::Relaxed)
    }

    /// Whether others told something, once.
    pub(super) fn take_heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }
}

impl State {
    /// A connection for a caller; `Closed` once the store is closing.
    pub(super) async fn connection(&self) -> Result<Connection> {
        self.connection_of(&self.connections).await
    }

    /// A connection for what this process does by itself.
    pub(super) async fn own_connection(&self) -> Result<Connection> {
        self.connection_of(&self.own).await
    }

    async fn connection_of(&self, connections: &Connections) -> Result<Connection> {
        if connections.is_closed() {
            return Err(closed());
        }
        let connection = connections.get().await;
        connection.inspect_err(|error| self.note(error))
    }

    /// Lets go of all connections.
    pub(super) fn disconnect(&self) {
        self.connections.close();
        self.own.close();
    }

    /// Waits so long, and from then on until the database cannot be reached.
    pub(super) async fn out_of_reach(&self, patience: Duration) {
        tokio::time::sleep(patience).await;
        let mut health = self.health.subscribe();
        let gone = health.wait_for(|health| *health == Health::Unavailable);
        // The store has the sender.
        let _ = gone.await;
    }

    /// Notes what an error says of the database.
    pub(super) fn note(&self, error: &Error) {
        match error {
            Error::Unavailable(why) if self.turn(Health::Unavailable) => {
                tracing::error!(
                    error = &**why as &dyn std::error::Error,
                    "database cannot be reached"
                );
            }
            Error::Full => {
                *self.full.lock() = Some(Instant::now());
                if self.turn(Health::Full) {
                    tracing::error!("disk of the database is full");
                }
            }
            _ => {}
        }
    }

    /// Takes no writes any more, for good.
    pub(super) fn fail(&self, error: &Error) {
        let why = error.to_string();
        tracing::error!(why, "no more writes are taken");
        self.turn(Health::Failed(why));
    }

    /// Notes that the database takes small writes. One that was full is taken
    /// for full a while longer: what is small found room all the time.
    pub(super) fn note_reached(&self) {
        let was_full = *self.full.lock();
        if was_full.is_none_or(|since| since.elapsed() >= FULL_FOR) {
            self.note_written();
        }
    }

    /// Notes that the database takes events.
    pub(super) fn note_written(&self) {
        *self.full.lock() = None;
        if self.turn(Health::Writable) {
            tracing::info!("database takes writes again");
        }
    }

    /// Sends a hint with the next number.
    pub(super) fn announce(&self, mut hint: Hint) {
        let mut announced = self.announced.lock();
        announced.0 += 1;
        hint.commit = *announced;
        // Nobody listening is fine: hints are hints.
        let _ = self.hints.send(Arc::new(hint));
    }

    /// Tells of a change of a subscription, unless it is known.
    pub(super) fn tell_change(&self, change: SubscriptionChange, version: Version) {
        let mut told = self.told.lock();
        if told.get(&change.id).is_none_or(|known| *known < version) {
            told.insert(change.id, version);
            // Nobody listening is fine.
            let _ = self.changes.send(change);
        }
    }

    /// Turns the health, unless the store failed.
    fn turn(&self, to: Health) -> bool {
        self.health.send_if_modified(|now| {
            let turns = *now != to && !matches!(now, Health::Failed(_));
            if turns {
                *now = to;
            }
            turns
        })
    }
}

/// Why no more writes are taken.
pub(super) fn closed() -> Error {
    Error::Closed("it is closing".to_owned())
}
