//! The dispatcher as its owner sees it: started once, drained once.

use std::{sync::Arc, time::Duration};

use tokio::sync::broadcast;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{
    Heartbeat, Settings, Transport, attempt::Attempts, disable::Disabling, scheduler::Scheduler,
};
use crate::{
    domain::{BreakerChange, Clock, Random},
    storage::Engine,
};

/// Changes of breakers that are kept for those who listen.
const BREAKERS: usize = 1_024;

/// Sends what is due until it is drained.
#[must_use = "what it sends has to be drained"]
pub struct Dispatcher {
    breakers: broadcast::Sender<BreakerChange>,
    heartbeat: Heartbeat,
    spawned: TaskTracker,
    soft: CancellationToken,
    hard: CancellationToken,
}

/// Starts to send what is due in the store.
pub fn start(
    store: Arc<dyn Engine>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    settings: Settings,
) -> Dispatcher {
    let (breakers, _) = broadcast::channel(BREAKERS);
    let dispatcher = Dispatcher {
        breakers: breakers.clone(),
        heartbeat: Heartbeat::default(),
        spawned: TaskTracker::new(),
        soft: CancellationToken::new(),
        hard: CancellationToken::new(),
    };
    let after = settings.disable_after;
    let attempts = Attempts {
        disabling: Disabling::new(store.clone(), clock.clone(), after),
        store,
        transport,
        clock,
        random,
        soft: dispatcher.soft.clone(),
    };
    let (spawned, hard) = (dispatcher.spawned.clone(), dispatcher.hard.clone());
    let heartbeat = dispatcher.heartbeat.clone();
    let scheduler = Scheduler::new(attempts, settings, breakers, heartbeat, spawned, hard);
    dispatcher.spawned.spawn(scheduler.run());
    dispatcher
}

impl Dispatcher {
    /// Tells what breakers do. Who does not listen for long loses some.
    pub fn breakers(&self) -> broadcast::Receiver<BreakerChange> {
        self.breakers.subscribe()
    }

    /// The sign that it goes on.
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    /// Resolves if it stops by itself, because the store takes no more writes
    /// or something is wrong with it. It still has to be drained.
    pub async fn stopped(&self) {
        self.soft.cancelled().await;
    }

    /// Starts no more attempts, lets those under way end and be recorded for
    /// as long as `deadline`, and gives up the rest: they are not recorded and
    /// due as before. Returns when nothing runs any more.
    pub async fn drain(self, deadline: Duration) {
        self.soft.cancel();
        self.spawned.close();
        if tokio::time::timeout(deadline, self.spawned.wait())
            .await
            .is_err()
        {
            let left = self.spawned.len();
            warn!(left, "gave up attempts that did not end in time");
            self.hard.cancel();
            self.spawned.wait().await;
        }
        info!("dispatcher drained");
    }
}

/// Nothing goes on once its owner is gone.
impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.soft.cancel();
        self.hard.cancel();
    }
}
