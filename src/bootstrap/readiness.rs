//! Whether the server takes calls, from all that it needs for them.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::storage::Health;

/// What readiness depends on.
pub(super) struct Readiness {
    /// The store takes writes.
    pub(super) store: watch::Receiver<Health>,
    /// The system gives connections.
    pub(super) accepting: watch::Receiver<bool>,
    /// The server is about to end.
    pub(super) draining: CancellationToken,
}

impl Readiness {
    /// Keeps `ready` true to all of it until the server drains.
    pub(super) async fn follow(mut self, ready: watch::Sender<bool>) {
        while !self.draining.is_cancelled() {
            let writable = *self.store.borrow_and_update() == Health::Writable;
            let accepting = *self.accepting.borrow_and_update();
            ready.send_replace(writable && accepting);
            let changed = tokio::select! {
                () = self.draining.cancelled() => break,
                changed = self.store.changed() => changed,
                changed = self.accepting.changed() => changed,
            };
            if changed.is_err() {
                break;
            }
        }
        ready.send_replace(false);
    }
}
