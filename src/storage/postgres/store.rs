//! The store as its callers hold it.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio_util::task::TaskTracker;

use super::{
    accept::Accepting,
    claim::Claim,
    group::{Reply, Sender},
    load::Loading,
    record::Recording,
    state::{State, closed},
};
use crate::storage::{Engine, Health, Result};

/// An open store.
pub(super) struct Store {
    pub(super) state: Arc<State>,
    pub(super) intakes: Mutex<Option<Intakes>>,
    /// The writers, and what watches.
    pub(super) tasks: TaskTracker,
    pub(super) keeper: TaskTracker,
    /// That of a process that has the store alone.
    pub(super) claim: Mutex<Option<Claim>>,
}

/// The ways to the writers.
#[derive(Clone)]
pub(super) struct Intakes {
    pub(super) accepting: Sender<Accepting>,
    pub(super) recording: Sender<Recording>,
    pub(super) loading: Sender<Loading>,
}

impl Store {
    /// Hands a call to a writer and waits for its answer.
    pub(super) async fn hand<C, T>(
        &self,
        intake: impl FnOnce(Intakes) -> Sender<C>,
        call: impl FnOnce(Reply<T>) -> C,
    ) -> Result<T> {
        let Some(intakes) = self.intakes.lock().clone() else {
            return Err(closed());
        };
        let (reply, answer) = oneshot::channel();
        let sender = intake(intakes);
        let sent = sender.send(call(reply)).await;
        drop(sender);
        sent.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

#[async_trait]
impl Engine for Store {
    fn health(&self) -> watch::Receiver<Health> {
        self.state.health.subscribe()
    }

    /// The writers finish, then the leases are given back, then the
    /// connections are closed.
    async fn close(&self) {
        self.intakes.lock().take();
        self.tasks.close();
        self.state.closing.cancel();
        self.tasks.wait().await;
        self.keeper.close();
        self.state.leaving.cancel();
        self.keeper.wait().await;
        self.state.disconnect();
        let claim = self.claim.lock().take();
        if let Some(claim) = claim {
            claim.release().await;
        }
    }
}

/// Nothing goes on once the owner is gone. The lease ends by itself.
impl Drop for Store {
    fn drop(&mut self) {
        self.state.disconnect();
        self.state.closing.cancel();
        self.state.leaving.cancel();
    }
}
