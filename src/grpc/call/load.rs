//! What may be under way at once: calls, streams, the bytes of events that are
//! being published, and those of answers. What is beyond is refused at once, so
//! that what was taken is answered in time and memory is bounded.

use std::{sync::Arc, thread::available_parallelism};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

use super::{
    method::Kind,
    unsent::{AllUnsent, Unsent},
};

/// Reads that are worked on at once, for each processor. The others wait, so
/// that who reads a lot leaves the processors to those who publish.
const READERS: usize = 4;

/// Most that may be under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls with one request and one answer.
    pub calls: usize,
    /// Streams, whatever they stream.
    pub streams: usize,
    /// Bytes of requests.
    pub request_bytes: u32,
    /// Bytes of answers that clients have not taken.
    pub response_bytes: usize,
}

/// What is under way.
#[derive(Debug)]
pub(super) struct Load {
    calls: Arc<Semaphore>,
    /// Places among the calls that reads may have: half, so that events are
    /// taken in whatever is read.
    reads: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    budget: Budget,
    unsent: Arc<AllUnsent>,
}

impl Load {
    pub(super) fn new(limits: Limits) -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            calls: Arc::new(Semaphore::new(limits.calls)),
            reads: Arc::new(Semaphore::new(limits.calls.div_ceil(2))),
            readers: Arc::new(Semaphore::new(READERS * processors)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            budget: Budget {
                free: Arc::new(Semaphore::new(limits.request_bytes as usize)),
                total: limits.request_bytes,
            },
            unsent: AllUnsent::new(limits.response_bytes),
        }
    }

    /// What a connection that begins has not sent.
    pub(super) fn unsent(&self) -> Arc<Unsent> {
        Unsent::new(self.unsent.clone())
    }

    /// Whether a call would be taken now. It is asked when a call begins, so
    /// that a refusal costs little; its place is taken once its request is
    /// there, so that a caller who does not send it takes none.
    pub(super) fn admits(&self, kind: Kind) -> bool {
        self.calls.available_permits() > 0
            && (kind != Kind::Read || self.reads.available_permits() > 0)
    }

    /// Takes a place among the calls.
    pub(super) fn take_call(&self, kind: Kind, held: &Held) -> bool {
        let read = (kind == Kind::Read).then(|| self.reads.clone().try_acquire_owned());
        let call = self.calls.clone().try_acquire_owned();
        let (Ok(read), Ok(call)) = (read.transpose(), call) else {
            return false;
        };
        let mut held = held.0.lock();
        (held.call, held.read) = (Some(call), read);
        true
    }

    /// Where a read waits until it is worked on.
    pub(super) fn readers(&self) -> PollSemaphore {
        PollSemaphore::new(self.readers.clone())
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
    /// Holds the place of a read that is worked on.
    pub(super) fn reads(&self, permit: OwnedSemaphorePermit) {
        self.0.lock().reader = Some(permit);
    }

    /// Gives back what was taken so far.
    pub(super) fn release(&self) {
        *self.0.lock() = Permits::default();
    }
}

#[derive(Debug, Default)]
struct Permits {
    call: Option<OwnedSemaphorePermit>,
    read: Option<OwnedSemaphorePermit>,
    reader: Option<OwnedSemaphorePermit>,
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
        response_bytes: 100,
    };

    #[test]
    fn what_is_held_is_free_again_when_the_call_has_ended() {
        let load = Load::new(LIMITS);
        let (first, second) = (Held::default(), Held::default());
        assert!(load.take_bytes(60, &first) && load.take_bytes(30, &first));
        assert!(load.take_call(Kind::Write, &first));
        assert!(!load.admits(Kind::Write) && !load.take_call(Kind::Write, &second));
        assert!(!load.take_bytes(11, &second));
        drop(first);
        assert!(load.admits(Kind::Write) && load.take_call(Kind::Write, &second));
        assert!(load.take_bytes(1_000, &second), "alone, it is taken");
    }

    #[test]
    fn reads_leave_half_of_the_places() {
        let load = Load::new(Limits { calls: 3, ..LIMITS });
        let held = [(); 4].map(|()| Held::default());
        assert!(load.take_call(Kind::Read, &held[0]));
        assert!(load.take_call(Kind::Read, &held[1]));
        assert!(!load.admits(Kind::Read) && !load.take_call(Kind::Read, &held[2]));
        assert!(load.admits(Kind::Write) && load.take_call(Kind::Write, &held[2]));
        held[0].release();
        assert!(load.admits(Kind::Read) && load.take_call(Kind::Read, &held[3]));
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
