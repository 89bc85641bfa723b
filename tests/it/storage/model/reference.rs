//! The model: what a store holds, in plain maps.

use std::collections::BTreeMap;

use postrider::{
    domain::{
        Delivery, DeliveryId, DeliveryState, Erasure, Event, EventId, Reach, Subscription,
        SubscriptionId, Timestamp, Trigger,
    },
    storage::{DueKey, Erased},
};

use super::super::build::{NOON, SEVEN_DAYS, sub};

/// What a store holds.
#[derive(Debug)]
pub struct Reference {
    pub now: Timestamp,
    /// Numbers the events.
    pub accepted: u128,
    /// Numbers the attempts.
    pub attempted: u128,
    /// By number; `None` once deleted.
    pub subscriptions: BTreeMap<u128, Option<Subscription>>,
    pub events: BTreeMap<EventId, Event>,
    pub deliveries: BTreeMap<DeliveryId, Delivery>,
    /// Where each delivery stood in its queue before its last change.
    pub was_due: BTreeMap<DeliveryId, Option<Timestamp>>,
    /// The attempts of each call that recorded some, in order.
    pub log: Vec<Vec<Logged>>,
}

/// An attempt in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Logged {
    pub delivery: DeliveryId,
    /// When the next one was due.
    pub next: Option<Timestamp>,
    /// Whether its content is gone.
    pub erased: bool,
}

impl Default for Reference {
    fn default() -> Self {
        Self {
            now: NOON,
            accepted: 0,
            attempted: 0,
            subscriptions: BTreeMap::new(),
            events: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            was_due: BTreeMap::new(),
            log: Vec::new(),
        }
    }
}

impl Reference {
    /// The numbers of the subscriptions there are.
    pub fn live(&self) -> Vec<u128> {
        let live = self.subscriptions.iter();
        live.filter(|(_, subscription)| subscription.is_some())
            .map(|(number, _)| *number)
            .collect()
    }

    /// The event that used a key within the last seven days.
    pub fn used(&self, key: &str, now: Timestamp) -> Option<&Event> {
        let used = |event: &&Event| {
            event
                .idempotency_key
                .as_ref()
                .is_some_and(|used| used == key)
                && now.since(event.create_time) <= SEVEN_DAYS
        };
        self.events.values().find(used)
    }

    pub fn accept(&mut self, event: Event, to: &[u128]) {
        for (ordinal, number) in (0..).zip(to) {
            let delivery = Delivery::new(&event, ordinal, sub(*number), Trigger::Event);
            self.deliveries.insert(delivery.id, delivery);
        }
        self.events.insert(event.id, event);
    }

    /// Puts a delivery in the place of what it was.
    pub fn change(&mut self, delivery: Delivery) {
        let id = delivery.id;
        let before = self.deliveries.insert(id, delivery);
        self.was_due
            .insert(id, before.and_then(|before| before.due));
    }

    pub fn delivery_count(&self, event: EventId) -> u32 {
        let deliveries = self.deliveries.keys();
        let of_event = deliveries.filter(|id| id.event_id() == event);
        u32::try_from(of_event.count()).unwrap()
    }

    /// Erases what an erasure reaches, and tells what that came to.
    pub fn erase(&mut self, what: Erasure) -> Erased {
        let mut erased = Erased::default();
        let events: Vec<_> = self.events.values().cloned().collect();
        for event in events {
            let deliveries = self.deliveries.values();
            let of_event = deliveries.filter(|delivery| delivery.id.event_id() == event.id);
            let deliveries: Vec<_> = of_event.cloned().collect();
            let to: Vec<_> = deliveries
                .iter()
                .map(|delivery| delivery.subscription_id)
                .collect();
            if event.is_erased() || !is_meant(what, &event, &to) {
                continue;
            }
            let reach = what.reach(&to);
            if reach == Reach::Whole {
                erased.events += 1;
                self.events.insert(event.id, event.erased(self.now));
            } else {
                erased.shared += 1;
            }
            for delivery in deliveries {
                if matches!(reach, Reach::Attempts(only) if only != delivery.subscription_id) {
                    continue;
                }
                erased.attempts += self.erase_attempts(delivery.id);
                if reach == Reach::Whole
                    && let Ok(cancelled) = delivery.cancelled(self.now)
                {
                    erased.cancelled += 1;
                    self.change(cancelled);
                }
            }
        }
        erased
    }

    fn erase_attempts(&mut self, of: DeliveryId) -> u64 {
        let mut erased = 0;
        for logged in self.log.iter_mut().flatten() {
            if logged.delivery == of && !logged.erased {
                logged.erased = true;
                erased += 1;
            }
        }
        erased
    }

    /// Whether the payload of a delivery's event was erased.
    pub fn is_erased(&self, id: DeliveryId) -> bool {
        self.events[&id.event_id()].is_erased()
    }

    /// Whether a delivery's subscription was deleted.
    pub fn is_orphan(&self, delivery: &Delivery) -> bool {
        let live = self.subscriptions.values().flatten();
        !live
            .into_iter()
            .any(|live| live.id == delivery.subscription_id)
    }

    /// The delivery as a reader sees it.
    pub fn shown(&self, delivery: &Delivery) -> Delivery {
        let mut delivery = delivery.clone();
        if !delivery.state.is_settled() && self.is_orphan(&delivery) {
            delivery.state = DeliveryState::Cancelled;
            delivery.due = None;
        }
        delivery
    }

    /// What waits for a subscription, in order.
    pub fn queue(&self, number: u128) -> Vec<DueKey> {
        let of_subscription = self.deliveries.values();
        let mut queue: Vec<DueKey> = of_subscription
            .filter(|delivery| delivery.subscription_id == sub(number))
            .filter_map(|delivery| {
                Some(DueKey {
                    due: delivery.due?,
                    delivery_id: delivery.id,
                })
            })
            .collect();
        queue.sort();
        queue
    }
}

/// Whether an erasure is about an event that went to these subscriptions.
fn is_meant(what: Erasure, event: &Event, to: &[SubscriptionId]) -> bool {
    match what {
        Erasure::Event(id) => event.id == id,
        Erasure::Subscription(id) => to.contains(&id),
        Erasure::Accepted(range) => {
            range.start <= event.create_time && event.create_time < range.end
        }
    }
}
