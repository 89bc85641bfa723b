//! The model: what a store holds, in plain maps.

use std::collections::BTreeMap;

use postrider::{
    domain::{
        Delivery, DeliveryId, DeliveryState, Event, EventId, Subscription, Timestamp, Trigger,
    },
    storage::DueKey,
};

use super::super::build::{NOON, SEVEN_DAYS, sub};

/// What a store holds.
#[derive(Debug)]
pub struct Reference {
    pub now: Timestamp,
    /// Numbers the events.
    pub accepted: u128,
    /// By number; `None` once deleted.
    pub subscriptions: BTreeMap<u128, Option<Subscription>>,
    pub events: BTreeMap<EventId, Event>,
    pub deliveries: BTreeMap<DeliveryId, Delivery>,
    /// Where each delivery stood in its queue before its last change.
    pub was_due: BTreeMap<DeliveryId, Option<Timestamp>>,
    /// The attempts of each call that recorded some, in order, with the time
    /// the next one was due.
    pub log: Vec<Vec<(DeliveryId, Option<Timestamp>)>>,
}

impl Default for Reference {
    fn default() -> Self {
        Self {
            now: NOON,
            accepted: 0,
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
