//! The use cases: subscribe, publish, look, retry, replay, tail. Knows no protocol and
//! no engine.

mod access;
mod deliveries;
mod error;
mod events;
mod explain;
mod filter;
mod keys;
mod list;
mod operational;
mod patch;
mod publish;
mod quotas;
mod reach;
mod replayer;
mod replays;
mod routing;
mod stats;
mod subscriptions;
mod tail;
mod trial;

use std::sync::Arc;

use parking_lot::Mutex;

use self::{access::Access, quotas::Meter, routing::Routes};
pub use self::{
    access::AccessSettings,
    error::{Error, Result},
    filter::{Filter, Subject, Unanswered},
    list::{List, Listed},
    operational::tell,
    patch::SpecPatch,
    quotas::QuotaSettings,
    replayer::replay,
    subscriptions::{CreateSubscription, Renewal, Rotated, UpdateSubscription},
    tail::{TailItem, TailRequest, TailStart, TailStep},
};
pub use crate::storage::{Accepted, Erased, EventFilter, Resource, View};
use crate::{
    domain::{Clock, EventId, Random, Timestamp},
    resolve::Resolver,
    storage::Engine,
};

/// What a publisher may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload of one event, in bytes.
    pub max_payload_bytes: usize,
    /// Largest payloads of one batch together, in bytes.
    pub max_batch_bytes: usize,
    /// Most events in one batch.
    pub max_batch_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload_bytes: 256 * 1024,
            max_batch_bytes: 4 * 1024 * 1024,
            max_batch_events: 1_000,
        }
    }
}

/// The use cases over one store.
pub struct Control {
    store: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    resolver: Resolver,
    limits: Limits,
    routes: Routes,
    access: Arc<Access>,
    meter: Meter,
    /// The last event's id that was given.
    last_id: Mutex<EventId>,
}

impl Control {
    /// The use cases over this store, for URLs that the resolver lets through.
    pub fn new(
        store: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        resolver: Resolver,
        limits: Limits,
        access: AccessSettings,
        quotas: QuotaSettings,
    ) -> Self {
        let access = Access::new(store.clone(), clock.clone(), access);
        Self {
            access: Arc::new(access),
            meter: Meter::new(quotas),
            store,
            clock,
            random,
            resolver,
            limits,
            routes: Routes::default(),
            last_id: Mutex::new(EventId::new(Timestamp::MIN, 0)),
        }
    }

    /// What a publisher may send.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The time by which requests are judged.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Random bytes that nobody can guess.
    fn random_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes);
        bytes
    }

    /// The ids of so many events, greater than all that were given before.
    fn next_event_ids(&self, now: Timestamp, count: usize) -> Vec<EventId> {
        let mut last = self.last_id.lock();
        let ids = std::iter::repeat_with(|| {
            *last = last.next(now, self.random.bits());
            *last
        });
        ids.take(count).collect()
    }
}
