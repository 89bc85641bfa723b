//! Which queues are this process's. Subscriptions are spread over shards; a
//! shard is owned, or on its way to another process: then nothing more is
//! started in it, and it goes once what is under way has ended.
//!
//! A lease that was not renewed in time is as good as lost some seconds before
//! it is: the others' clocks decide, and a request that was begun cannot be
//! taken back.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::domain::{DeliveryId, SubscriptionId};

/// How many shards there are.
pub(super) const SHARDS: usize = 256;

/// The shard of a subscription: the last byte of its id, which is random.
pub(super) fn shard_of(subscription: SubscriptionId) -> usize {
    usize::from(subscription.to_bytes()[15])
}

/// A shard's number in the database.
pub(super) fn number_of(shard: usize) -> i32 {
    i32::try_from(shard).unwrap_or(i32::MAX)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shard {
    Foreign,
    Owned,
    Leaving,
}

#[derive(Debug)]
struct Held {
    member: Uuid,
    /// Nothing is started after this time.
    until: Option<Instant>,
    retiring: bool,
    shards: [Shard; SHARDS],
    under_way: HashMap<DeliveryId, usize>,
    /// How many are under way in each shard.
    counts: [usize; SHARDS],
}

/// What this process owns.
#[derive(Debug)]
pub(super) struct Ownership {
    held: Mutex<Held>,
    changes: watch::Sender<u64>,
}

impl Ownership {
    /// Nothing yet, as this member.
    pub(super) fn new(member: Uuid) -> Self {
        Self {
            held: Mutex::new(Held {
                member,
                until: None,
                retiring: false,
                shards: [Shard::Foreign; SHARDS],
                under_way: HashMap::new(),
                counts: [0; SHARDS],
            }),
            changes: watch::Sender::new(0),
        }
    }

    /// As whom this process owns.
    pub(super) fn member(&self) -> Uuid {
        self.held.lock().member
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn owns(&self, subscription: SubscriptionId) -> bool {
        self.held.lock().owns(shard_of(subscription))
    }

    /// Whether results for the queue may be written, as far as this process
    /// knows: also while the queue is on its way.
    pub(super) fn holds(&self, subscription: SubscriptionId) -> bool {
        self.held.lock().shards[shard_of(subscription)] != Shard::Foreign
    }

    /// The shards that are owned.
    pub(super) fn owned(&self) -> Vec<usize> {
        let held = self.held.lock();
        (0..SHARDS).filter(|shard| held.owns(*shard)).collect()
    }

    /// The deliveries under way.
    pub(super) fn under_way(&self) -> Vec<DeliveryId> {
        self.held.lock().under_way.keys().copied().collect()
    }

    pub(super) fn is_under_way(&self, delivery: DeliveryId) -> bool {
        self.held.lock().under_way.contains_key(&delivery)
    }

    /// Begins an attempt, unless the queue is another's.
    pub(super) fn start(&self, subscription: SubscriptionId, delivery: DeliveryId) -> bool {
        let shard = shard_of(subscription);
        let mut held = self.held.lock();
        let starts = held.owns(shard);
        if starts && held.under_way.insert(delivery, shard).is_none() {
            held.counts[shard] += 1;
        }
        starts
    }

    /// Ends attempts.
    pub(super) fn end(&self, deliveries: impl IntoIterator<Item = DeliveryId>) {
        let mut held = self.held.lock();
        for delivery in deliveries {
            if let Some(shard) = held.under_way.remove(&delivery) {
                held.counts[shard] -= 1;
            }
        }
    }

    /// Takes in that the lease holds until a time, for these shards.
    pub(super) fn renewed(&self, until: Instant, shards: &[usize]) {
        let mut held = self.held.lock();
        let before = held.shards;
        let lapsed = held.until.is_none_or(|until| until <= Instant::now());
        held.until = Some(until);
        let retiring = held.retiring;
        for (shard, state) in held.shards.iter_mut().enumerate() {
            *state = match (*state, shards.contains(&shard)) {
                (Shard::Leaving, true) => Shard::Leaving,
                (_, true) if retiring => Shard::Leaving,
                (_, true) => Shard::Owned,
                (_, false) => Shard::Foreign,
            };
        }
        // What lapsed was given up by the scheduler and is to be found again.
        let changed = before != held.shards || lapsed;
        drop(held);
        if changed {
            self.changed();
        }
    }

    /// Starts nothing more in any shard, for good.
    pub(super) fn retire(&self) {
        let mut held = self.held.lock();
        held.retiring = true;
        for shard in held
            .shards
            .iter_mut()
            .filter(|shard| **shard == Shard::Owned)
        {
            *shard = Shard::Leaving;
        }
        drop(held);
        self.changed();
    }

    /// Whether it takes no more shards.
    pub(super) fn is_retiring(&self) -> bool {
        self.held.lock().retiring
    }

    /// Starts nothing more in so many of the owned shards.
    pub(super) fn leave(&self, count: usize) {
        let mut held = self.held.lock();
        let owned = held.shards.iter_mut().rev();
        for shard in owned.filter(|shard| **shard == Shard::Owned).take(count) {
            *shard = Shard::Leaving;
        }
        drop(held);
        self.changed();
    }

    /// How many shards are on their way.
    pub(super) fn leaving(&self) -> usize {
        let held = self.held.lock();
        let leaving = held.shards.iter();
        leaving.filter(|shard| **shard == Shard::Leaving).count()
    }

    /// Shards on their way in which nothing is under way any more.
    pub(super) fn quiet(&self) -> Vec<usize> {
        let held = self.held.lock();
        let quiet =
            |shard: &usize| held.shards[*shard] == Shard::Leaving && held.counts[*shard] == 0;
        (0..SHARDS).filter(quiet).collect()
    }

    /// Begins anew as another member, that owns nothing.
    pub(super) fn expelled(&self, member: Uuid) {
        let mut held = self.held.lock();
        held.member = member;
        held.until = None;
        held.shards = [Shard::Foreign; SHARDS];
        drop(held);
        self.changed();
    }

    /// Tells of a lease that lapsed; whether it has.
    pub(super) fn lapse(&self) -> bool {
        let mut held = self.held.lock();
        let lapsed = held.until.is_some_and(|until| until <= Instant::now());
        if lapsed {
            held.until = None;
        }
        drop(held);
        if lapsed {
            self.changed();
        }
        lapsed
    }

    /// Tells whoever uses the queues to look at them anew.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Held {
    fn owns(&self, shard: usize) -> bool {
        self.shards[shard] == Shard::Owned && self.until.is_some_and(|until| Instant::now() < until)
    }
}
