//! On whose threads a store works: the one place that starts threads for it.

use std::{io, thread, time::Duration};

use tokio::sync::mpsc;

use super::{committer::Committer, write::Write};

/// On whose threads a store works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// On its own, and on those of the runtime that may block: nobody else waits
    /// for the disk.
    Own,
    /// On that of its callers, in tasks of their runtime, where nothing waits for
    /// a disk: for simulation, in which one step follows the other and the same
    /// calls always come to the same.
    Callers,
}

impl Threads {
    /// Has the committer write what it is asked for.
    pub(super) fn commit(
        self,
        committer: Committer,
        writes: mpsc::Receiver<Write>,
    ) -> io::Result<()> {
        match self {
            Self::Own => start("store-committer", move || committer.run(writes)),
            Self::Callers => {
                tokio::spawn(committer.run_in_task(writes));
                Ok(())
            }
        }
    }

    /// Looks again and again, until there is no more to look at.
    pub(super) fn keep_looking(
        self,
        pause: Duration,
        mut look: impl FnMut() -> bool + Send + 'static,
    ) -> io::Result<()> {
        match self {
            Self::Own => start("store-room", move || {
                while look() {
                    thread::sleep(pause);
                }
            }),
            Self::Callers => {
                tokio::spawn(async move {
                    while look() {
                        tokio::time::sleep(pause).await;
                    }
                });
                Ok(())
            }
        }
    }

    /// Makes a call that may block.
    pub(super) async fn blocking<T: Send + 'static>(
        self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> std::result::Result<T, tokio::task::JoinError> {
        match self {
            Self::Own => {
                let span = tracing::Span::current();
                tokio::task::spawn_blocking(move || span.in_scope(call)).await
            }
            Self::Callers => Ok(call()),
        }
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(run).map(drop)
}
