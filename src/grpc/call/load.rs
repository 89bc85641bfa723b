//! What may be under way at once: calls, streams, the bytes of events that are
//! being published, and those of answers. What is beyond is refused at once, so
//! that what was taken is answered in time and memory is bounded.

use std::{sync::Arc, thread::available_parallelism};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

use super::{
    method::Kind,
    shares::{Share, Shares, Whose},
    unsent::{AllUnsent, Unsent},
    whole::Room,
};

/// Reads that are worked on at once, for each processor. The others wait, so
/// that who reads a lot leaves the processors to those who publish.
const READERS: usize = 4;
/// Of so many places one is for calls that wait for others, and one for streams
/// that need no key.
const PER_WAITING: usize = 16;

/// Of so much memory for requests there is as much again, once, for messages of
/// streams that come in pieces.
const PER_PIECES: u32 = 4;

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
    calls: [Arc<Semaphore>; 1],
    /// Reads may have half of the places of calls, so that events are taken in
    /// whatever is read.
    reads: [Arc<Semaphore>; 2],
    readers: Arc<Semaphore>,
    waiting: [Arc<Semaphore>; 1],
    /// Of those that wait, half for a tenant.
    waiting_of: Arc<Shares>,
    streams: Arc<Semaphore>,
    open: Arc<Semaphore>,
    /// Of the streams, half for a tenant.
    streams_of: Arc<Shares>,
    budget: Budget,
    pieces: Room,
    unsent: Arc<AllUnsent>,
}

impl Load {
    pub(super) fn new(limits: Limits) -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        let calls = places(limits.calls);
        let waiting = limits.calls.div_ceil(PER_WAITING);
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            calls: [calls.clone()],
            reads: [places(limits.calls.div_ceil(2)), calls],
            readers: places(READERS * processors),
            waiting: [places(waiting)],
            waiting_of: Shares::of(waiting),
            streams: places(limits.streams),
            open: places(limits.streams.div_ceil(PER_WAITING)),
            streams_of: Shares::of(limits.streams),
            budget: Budget {
                free: Arc::new(Semaphore::new(limits.request_bytes as usize)),
                total: limits.request_bytes,
            },
            pieces: Room::of(limits.request_bytes / PER_PIECES),
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
        let all = self.places(kind);
        all.iter().all(|places| places.available_permits() > 0)
    }

    /// Of which places a call takes one each.
    fn places(&self, kind: Kind) -> &[Arc<Semaphore>] {
        match kind {
            Kind::Read => &self.reads,
            Kind::Waiting => &self.waiting,
            _ => &self.calls,
        }
    }

    /// Takes a place among the calls.
    pub(super) fn take_call(&self, kind: Kind, whose: &Whose, held: &Held) -> bool {
        if kind == Kind::Waiting && self.waiting_of.is_full(whose) {
            return false;
        }
        let places = self.places(kind).iter();
        let taken = places.map(|places| places.clone().try_acquire_owned());
        let Ok(taken) = taken.collect::<Result<_, _>>() else {
            return false;
        };
        let mut held = held.0.lock();
        held.places = taken;
        if kind == Kind::Waiting {
            held.share = Some(self.waiting_of.take(whose, 1));
        }
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
    pub(super) fn take_stream(&self, kind: Kind) -> Option<OwnedSemaphorePermit> {
        let places = match kind {
            Kind::Open => &self.open,
            _ => &self.streams,
        };
        places.clone().try_acquire_owned().ok()
    }

    /// Takes a tenant's share of the streams.
    pub(super) fn take_share(&self, whose: &Whose) -> Option<Share> {
        let is_full = self.streams_of.is_full(whose);
        (!is_full).then(|| self.streams_of.take(whose, 1))
    }

    /// Room for messages of streams that are not complete.
    pub(super) fn pieces(&self) -> Room {
        self.pieces.clone()
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
    places: Vec<OwnedSemaphorePermit>,
    share: Option<Share>,
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
        let nobody = Whose::default();
        let load = Load::new(LIMITS);
        let (first, second) = (Held::default(), Held::default());
        assert!(load.take_bytes(60, &first) && load.take_bytes(30, &first));
        assert!(load.take_call(Kind::Write, &nobody, &first));
        assert!(!load.admits(Kind::Write) && !load.take_call(Kind::Write, &nobody, &second));
        assert!(!load.take_bytes(11, &second));
        drop(first);
        assert!(load.admits(Kind::Write) && load.take_call(Kind::Write, &nobody, &second));
        assert!(load.take_bytes(1_000, &second), "alone, it is taken");
    }

    #[test]
    fn reads_leave_half_of_the_places() {
        let nobody = Whose::default();
        let load = Load::new(Limits { calls: 3, ..LIMITS });
        let held = [(); 4].map(|()| Held::default());
        assert!(load.take_call(Kind::Read, &nobody, &held[0]));
        assert!(load.take_call(Kind::Read, &nobody, &held[1]));
        assert!(!load.admits(Kind::Read) && !load.take_call(Kind::Read, &nobody, &held[2]));
        assert!(load.admits(Kind::Write) && load.take_call(Kind::Write, &nobody, &held[2]));
        held[0].release();
        assert!(load.admits(Kind::Read) && load.take_call(Kind::Read, &nobody, &held[3]));
    }

    #[test]
    fn a_tenant_leaves_others_half_of_the_places_of_calls_that_wait() {
        let load = Load::new(Limits {
            calls: 4 * PER_WAITING,
            ..LIMITS
        });
        let [one, other] = ["one", "other"].map(Whose::of);
        let held = [(); 4].map(|()| Held::default());
        assert!(load.take_call(Kind::Waiting, &one, &held[0]));
        assert!(load.take_call(Kind::Waiting, &one, &held[1]));
        assert!(!load.take_call(Kind::Waiting, &one, &held[2]));
        assert!(load.take_call(Kind::Waiting, &other, &held[2]));
        held[0].release();
        assert!(load.take_call(Kind::Waiting, &one, &held[3]));
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
