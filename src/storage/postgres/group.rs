//! Calls that wait to be written together. A few workers take what has
//! gathered, each as one group; while one writes, the next group gathers.

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::storage::Result;

/// Calls that may wait; further callers wait with theirs.
const WAITING: usize = 1_024;

/// Where the answer to a call goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// The waiting calls, shared by the workers.
pub(super) struct Intake<T> {
    waiting: Mutex<Waiting<T>>,
    most: usize,
}

struct Waiting<T> {
    calls: mpsc::Receiver<T>,
    /// A call that was too much for the group before.
    held: Option<T>,
}

/// Hands calls in.
pub(super) type Sender<T> = mpsc::Sender<T>;

/// An intake for groups of at most so much weight; a heavier call is a group by
/// itself.
pub(super) fn intake<T>(most: usize) -> (Sender<T>, Intake<T>) {
    let (sender, calls) = mpsc::channel(WAITING);
    let waiting = Mutex::new(Waiting { calls, held: None });
    (sender, Intake { waiting, most })
}

impl<T> Intake<T> {
    /// The next group; `None` once nobody can hand in any more.
    pub(super) async fn gather(&self, weight: impl Fn(&T) -> usize) -> Option<Vec<T>> {
        let mut waiting = self.waiting.lock().await;
        let first = match waiting.held.take() {
            Some(held) => held,
            None => waiting.calls.recv().await?,
        };
        let mut sum = weight(&first);
        let mut group = vec![first];
        while sum < self.most
            && let Ok(call) = waiting.calls.try_recv()
        {
            sum += weight(&call);
            if sum > self.most {
                waiting.held = Some(call);
                break;
            }
            group.push(call);
        }
        Some(group)
    }
}
