//! A store under test, whatever its engine: how it is ended and comes back, and
//! the clock it reads.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use postrider::{
    domain::{Clock, Timestamp},
    storage::Engine,
};

/// 2024-01-15T10:00:00Z: when every case begins.
pub const NOON: Timestamp = Timestamp::from_secs(1_705_312_800);

/// A clock that a case sets.
#[derive(Debug)]
pub struct TestClock(AtomicU64);

impl TestClock {
    /// A clock that stands at [`NOON`].
    pub fn new() -> Arc<Self> {
        Arc::new(Self(NOON.as_micros().into()))
    }

    /// Sets the clock, forwards or back.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.as_micros(), Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// A store of its own for one case, empty at first.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The open store, which owns every queue there is.
    fn engine(&self) -> &Arc<dyn Engine>;

    /// The clock that the store reads.
    fn clock(&self) -> &TestClock;

    /// Closes the store and opens it again.
    async fn reopen(&mut self);

    /// Another store of the same engine, empty, with the same clock. It lives as
    /// long as this one.
    async fn another(&mut self) -> Arc<dyn Engine>;

    /// Opens what is left when the process is killed, or the power cut, right
    /// now: what was not made durable is lost.
    async fn crash(&mut self);
}
