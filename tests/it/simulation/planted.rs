//! Bugs that are planted between the product and its store, or its network, to see
//! that the rules find them. Each shows only now and then, as bugs do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use postrider::{
    domain::{
        Delivery, DeliveryState, Next, RetryPolicy, Schedule, Subscription, SubscriptionSpec,
    },
    storage::{AcceptEvents, DueKey},
};

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The queues have another owner, too, and nobody is told.
    LostLease,
    /// Retries come after half of their delay.
    EarlyRetry,
    /// A request is repeated by the client.
    DoubleSend,
    /// A result is acknowledged and not recorded.
    LostResult,
    /// A delivery that failed is not listed.
    DroppedDeadLetter,
    /// A place in the queue is not read back.
    LostPlace,
    /// An event does not reach a subscription that wants it.
    LostDelivery,
    /// Nobody asks whether another delivery has to be settled before.
    NoOrder,
}

/// How often a bug shows: once in so many times that it could.
const SHOWS: u64 = 20;

/// A bug, and how often it could have shown.
pub struct Planted {
    bug: Option<Bug>,
    times: AtomicU64,
}

impl Planted {
    pub fn new(bug: Option<Bug>) -> Self {
        Self {
            bug,
            times: AtomicU64::new(0),
        }
    }

    fn shows(&self, bug: Bug) -> bool {
        self.bug == Some(bug) && self.times.fetch_add(1, Ordering::Relaxed) % SHOWS == SHOWS - 1
    }

    /// Whether a request goes out twice.
    pub fn sends_twice(&self) -> bool {
        self.shows(Bug::DoubleSend)
    }

    /// Whether a result is kept.
    pub fn records(&self, _: Next) -> bool {
        !self.shows(Bug::LostResult)
    }

    /// Whether a place in a queue is read back.
    pub fn is_due(&self, _: &DueKey) -> bool {
        !self.shows(Bug::LostPlace)
    }

    /// Whether a delivery is listed.
    pub fn lists(&self, delivery: &Delivery) -> bool {
        delivery.state != DeliveryState::Failed || !self.shows(Bug::DroppedDeadLetter)
    }

    /// Whether somebody asks who is ahead.
    pub fn orders(&self) -> bool {
        self.bug != Some(Bug::NoOrder)
    }

    /// Takes a delivery out of events that are accepted.
    pub fn accepts(&self, events: &mut AcceptEvents) {
        for event in &mut events.events {
            if event.subscriptions.len() > 1 && self.shows(Bug::LostDelivery) {
                event.subscriptions.pop();
            }
        }
    }

    /// The subscription as the dispatcher finds it.
    pub fn found(&self, subscription: Arc<Subscription>) -> Arc<Subscription> {
        if self.bug != Some(Bug::EarlyRetry) {
            return subscription;
        }
        let hurried = hurried(&subscription.spec.retry_policy);
        Arc::new(Subscription {
            spec: SubscriptionSpec {
                retry_policy: hurried,
                ..subscription.spec.clone()
            },
            ..(*subscription).clone()
        })
    }
}

fn hurried(policy: &RetryPolicy) -> RetryPolicy {
    let half = |delay: &Duration| *delay / 2;
    let schedule = match policy.schedule() {
        Schedule::Delays(delays) => Schedule::Delays(delays.iter().map(half).collect()),
        Schedule::Exponential {
            first,
            factor,
            cap,
            attempts,
        } => Schedule::Exponential {
            first: half(first),
            factor: *factor,
            cap: *cap,
            attempts: *attempts,
        },
    };
    RetryPolicy::new(schedule, Some(policy.jitter()), policy.max_age()).unwrap()
}
