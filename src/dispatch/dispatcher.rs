//! The dispatcher as its owner sees it: started once, drained once.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{Settings, Transport, attempt::Attempts, scheduler::Scheduler};
use crate::{
    domain::{Clock, Random},
    storage::Engine,
};

/// Sends what is due until it is drained.
#[must_use = "what it sends has to be drained"]
pub struct Dispatcher {
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
    let dispatcher = Dispatcher {
        spawned: TaskTracker::new(),
        soft: CancellationToken::new(),
        hard: CancellationToken::new(),
    };
    let attempts = Attempts {
        store,
        transport,
        clock,
        random,
        soft: dispatcher.soft.clone(),
    };
    let (spawned, hard) = (dispatcher.spawned.clone(), dispatcher.hard.clone());
    let scheduler = Scheduler::new(attempts, settings, spawned, hard);
    dispatcher.spawned.spawn(scheduler.run());
    dispatcher
}

impl Dispatcher {
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
