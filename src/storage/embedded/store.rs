//! The store as its callers hold it: the way to the committer, and the one
//! place where reads leave the async threads.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    day::Day,
    state::State,
    threads::Threads,
    write::{Reply, Write},
};
use crate::storage::{Engine, Error, Health, Result};

/// An open store.
pub(super) struct Store {
    pub(super) state: Arc<State>,
    writes: Mutex<Option<mpsc::Sender<Write>>>,
    ended: watch::Receiver<bool>,
    threads: Threads,
}

impl Store {
    pub(super) fn new(
        state: Arc<State>,
        writes: mpsc::Sender<Write>,
        ended: watch::Receiver<bool>,
        threads: Threads,
    ) -> Self {
        Self {
            state,
            writes: Mutex::new(Some(writes)),
            ended,
            threads,
        }
    }

    /// Has days written anew where that is due, for as long as the store is open.
    pub(super) fn keep_rewriting(&self) {
        if let Some(writes) = &*self.writes.lock() {
            let rewrites = Arc::clone(&self.state.rewrites);
            tokio::spawn(rewrites.drive(writes.downgrade()));
        }
    }

    /// Hands a write to the committer and waits for its answer.
    pub(super) async fn write<T>(&self, write: impl FnOnce(Reply<T>) -> Write) -> Result<T> {
        let Some(writes) = self.writes.lock().clone() else {
            return Err(self.state.closed());
        };
        let (reply, answer) = oneshot::channel();
        let sent = writes.send(write(reply)).await;
        drop(writes);
        sent.map_err(|_| self.state.closed())?;
        answer.await.map_err(|_| self.state.closed())?
    }

    /// Reads where that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&State) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let state = Arc::clone(&self.state);
        let reading = self.threads.blocking(move || read(&state));
        reading
            .await
            .map_err(|panic| Error::Engine(Box::new(panic)))?
    }

    /// Reads a few rows of a day: at once if the day is open, which takes
    /// microseconds.
    pub(super) async fn read_day<T: Send + 'static>(
        &self,
        day: Day,
        read: impl FnOnce(&State) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.state.days.is_open(day) {
            read(&self.state)
        } else {
            self.read(read).await
        }
    }
}

#[async_trait]
impl Engine for Store {
    fn health(&self) -> watch::Receiver<Health> {
        self.state.health.subscribe()
    }

    async fn close(&self) {
        self.writes.lock().take();
        // An error means that the committer is gone, which is as good.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}
