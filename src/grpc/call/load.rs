//! What may be under way at once: calls, streams, and the bytes of events that
//! are being published. What is beyond is refused at once, so that what was
//! taken is answered in time and memory is bounded.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most that may be under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls with one request and one answer.
    pub calls: usize,
    /// Streams, whatever they stream.
    pub streams: usize,
    /// Bytes of requests.
    pub request_bytes: u32,
}

/// What is under way.
#[derive(Debug)]
pub(super) struct Load {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    budget: Budget,
}

impl Load {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            calls: Arc::new(Semaphore::new(limits.calls)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            budget: Budget {
                free: Arc::new(Semaphore::new(limits.request_bytes as usize)),
                total: limits.request_bytes,
            },
        }
    }

    /// Whether a call would be taken now. It is asked when a call begins, so
    /// that a refusal costs little; its place is taken once its request is
    /// there, so that a caller who does not send it takes none.
    pub(super) fn admits_calls(&self) -> bool {
        self.calls.available_permits() > 0
    }

    /// Takes a place among the calls.
    pub(super) fn take_call(&self, held: &Held) -> bool {
        let permit = self.calls.clone().try_acquire_owned().ok();
        permit.is_some_and(|permit| {
            held.0.lock().call = Some(permit);
            true
        })
    }

    /// Takes bytes of a request's budget.
    pub(super) fn take_bytes(&self, bytes: usize, held: &Held) -> bool {
        let count = self.budget.count(bytes);
        let permit = self.budget.free.clone().try_acquire_many_owned(count).ok();
        permit.is_some_and(|permit| {
            let mut held = held.0.lock();
            match &mut held.bytes {
                Some(bytes) => bytes.merge(permit),
                None => held.bytes = Some(permit),
            }
            true
        })
    }

    /// Takes a place among the streams.
    pub(super) fn take_stream(&self) -> Option<OwnedSemaphorePermit> {
        self.streams.clone().try_acquire_owned().ok()
    }

    /// The budget, for whoever takes of it itself.
    pub(super) fn budget(&self) -> Budget {
        self.budget.clone()
    }
}

/// What a call holds until it is answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<Permits>>);

impl Held {
    /// Gives back what was taken so far.
    pub(super) fn release(&self) {
        *self.0.lock() = Permits::default();
    }
}

#[derive(Debug, Default)]
struct Permits {
    call: Option<OwnedSemaphorePermit>,
    bytes: Option<OwnedSemaphorePermit>,
}

/// Bytes of requests that may be under way. Stands in the extensions of the
/// requests that stream.
#[derive(Debug, Clone)]
pub(in crate::grpc) struct Budget {
    free: Arc<Semaphore>,
    total: u32,
}

impl Budget {
    /// Waits until so many bytes are free and takes them.
    pub(in crate::grpc) async fn take(&self, bytes: usize) -> OwnedSemaphorePermit {
        let permit = self.free.clone().acquire_many_owned(self.count(bytes));
        permit.await.expect("it is never closed")
    }

    /// What is larger than the budget takes all of it.
    fn count(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        calls: 1,
        streams: 1,
        request_bytes: 100,
    };

    #[test]
    fn what_is_held_is_free_again_when_the_call_has_ended() {
        let load = Load::new(LIMITS);
        let (first, second) = (Held::default(), Held::default());
        assert!(load.take_bytes(60, &first) && load.take_bytes(30, &first));
        assert!(load.take_call(&first));
        assert!(!load.admits_calls() && !load.take_call(&second));
        assert!(!load.take_bytes(11, &second));
        drop(first);
        assert!(load.admits_calls() && load.take_call(&second));
        assert!(load.take_bytes(1_000, &second), "alone, it is taken");
    }

    #[tokio::test]
    async fn a_stream_waits_for_bytes() {
        let budget = Load::new(LIMITS).budget();
        let all = budget.take(1_000).await;
        let waiting = tokio::spawn(async move { budget.take(1).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(all);
        drop(waiting.await.unwrap());
    }
}
