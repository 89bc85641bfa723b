//! A store, its feeds and the attempts under way, as simple as they can be, and
//! a schedule that is told of them late, never or in a wrong order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parking_lot::Mutex;

use super::*;
use crate::domain::{EventPatterns, LiveSecrets, RateLimit, Secret, StateCode, TenantId};

pub(super) const SUBSCRIPTIONS: u8 = 4;
pub(super) const SETTINGS: Settings = Settings {
    max_in_flight: 12,
    window: 20,
    max_waiting: 48,
    max_waiting_bytes: 0,
    disable_after: None,
};

/// The subscription that is ordered, by one of so many keys.
const ORDERED: u8 = 2;
const KEYS: u128 = 3;

/// What one of the subscriptions may be sent.
const RATE: f64 = 0.5;
const BURST: u32 = 3;
const IN_A_MINUTE: usize = 34;

/// What the store has of a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    subscription: SubscriptionId,
    due: Option<Timestamp>,
    revision: u32,
    /// What it is ordered by, if its subscription is.
    ordering_key: Option<u128>,
}

pub(super) enum Heard {
    Accepted(FreshEvent),
    Rescheduled(Rescheduled),
}

pub(super) struct Flight {
    subscription: SubscriptionId,
    pub(super) id: DeliveryId,
    revision: u32,
    /// What the store said when it was asked.
    ahead: Option<DueKey>,
}

pub(super) struct World {
    pub(super) schedule: Schedule,
    pub(super) now: Timestamp,
    pub(super) rows: BTreeMap<DeliveryId, Row>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) hints: VecDeque<Heard>,
    pub(super) changes: VecDeque<Arc<Subscription>>,
    pub(super) flights: Vec<Flight>,
    pub(super) asked: Vec<Fetch>,
    pub(super) read: Vec<Fetched>,
    pub(super) events: u128,
    /// When attempts of the one with a rate limit started.
    limited: Vec<Timestamp>,
    /// The subscriptions whose queues are this process's.
    owned: Arc<Mutex<BTreeSet<SubscriptionId>>>,
}

impl World {
    pub(super) fn new(backlog: usize) -> Self {
        let limit = RateLimit::new(RATE, BURST.try_into().ok()).unwrap();
        let subscription = |n: u8| {
            let spec = SubscriptionSpec {
                max_in_flight: (u32::from(n) + 3).try_into().unwrap(),
                ordered: n == ORDERED,
                rate_limit: (n == 1).then_some(limit),
                ..SubscriptionSpec::new(
                    "http://localhost/".parse().unwrap(),
                    EventPatterns::new(vec!["*".parse().unwrap()]).unwrap(),
                )
            };
            Subscription::new(
                SubscriptionId::new(Timestamp::MIN, u128::from(n)),
                TenantId::default(),
                spec,
                LiveSecrets::new(Secret::generate([0; 32])),
                Timestamp::MIN,
            )
        };
        let owned = Arc::new(Mutex::new(BTreeSet::new()));
        let owns = Arc::clone(&owned);
        let mut world = Self {
            schedule: Schedule::new(SETTINGS, Box::new(move |id| owns.lock().contains(&id))),
            now: Timestamp::from_secs(1_000),
            rows: BTreeMap::new(),
            subscriptions: (0..SUBSCRIPTIONS).map(subscription).collect(),
            hints: VecDeque::new(),
            changes: VecDeque::new(),
            flights: Vec::new(),
            asked: Vec::new(),
            read: Vec::new(),
            events: 0,
            limited: Vec::new(),
            owned,
        };
        let all = world.subscriptions.iter().map(|own| own.id);
        world.owned.lock().extend(all);
        for n in 0..backlog {
            world.accept(1 << (n % 2), [0, 2, 5][n % 3]);
        }
        world.schedule.max_lanes = 2;
        world.hints.clear();
        world.scan();
        world
    }

    pub(super) fn scan(&mut self) {
        let waiting: BTreeSet<_> = self.waiting().map(|(_, row)| row.subscription).collect();
        for id in waiting {
            if self.owns(id) {
                self.schedule.found(id);
            }
        }
        self.schedule.scanned();
    }

    /// The first waiting delivery of each queue that nobody attempts.
    pub(super) fn wake(&mut self) {
        let under_way: BTreeSet<_> = self.flights.iter().map(|flight| flight.id).collect();
        let mut first = BTreeMap::<SubscriptionId, DueKey>::new();
        for (key, row) in self.waiting() {
            if self.owns(row.subscription) && !under_way.contains(&key.delivery_id) {
                let known = first.entry(row.subscription).or_insert(key);
                *known = key.min(*known);
            }
        }
        for (subscription_id, first) in first {
            self.schedule.woken(&Due {
                subscription_id,
                first,
            });
        }
    }

    pub(super) fn own(&mut self, bits: u8) {
        let numbered = (0..SUBSCRIPTIONS).zip(&self.subscriptions);
        let owned = numbered.filter(|(n, _)| bits & (1 << n) != 0);
        *self.owned.lock() = owned.map(|(_, subscription)| subscription.id).collect();
        self.schedule.own();
        self.scan();
    }

    fn owns(&self, subscription: SubscriptionId) -> bool {
        self.owned.lock().contains(&subscription)
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = (DueKey, Row)> {
        self.rows.iter().filter_map(|(id, row)| {
            let key = DueKey {
                due: row.due?,
                delivery_id: *id,
            };
            Some((key, *row))
        })
    }

    pub(super) fn accept(&mut self, bits: u8, delay: u8) {
        let fresh = self.accept_elsewhere(bits, delay);
        self.hints.push_back(Heard::Accepted(fresh));
    }

    /// Accepts an event; what is returned would be the hint of it.
    pub(super) fn accept_elsewhere(&mut self, bits: u8, delay: u8) -> FreshEvent {
        self.events += 1;
        let event_id = EventId::new(self.now, self.events << 16);
        let due = self.now.after(Duration::from_secs(delay.into()));
        let wanted = (0..SUBSCRIPTIONS).filter(|n| bits & (1 << n) != 0);
        let subscriptions: Vec<_> = wanted
            .map(|n| self.subscriptions[usize::from(n)].id)
            .collect();
        let deliveries: Vec<_> = event_id.deliveries(&subscriptions).collect();
        let ordered = self.subscriptions[usize::from(ORDERED)].id;
        for (id, subscription) in &deliveries {
            let row = Row {
                ordering_key: (*subscription == ordered).then_some(self.events % KEYS),
                subscription: *subscription,
                due: Some(due),
                revision: 0,
            };
            self.rows.insert(*id, row);
        }
        FreshEvent {
            event_id,
            due,
            deliveries,
            trigger: Trigger::Event,
            event: None,
        }
    }

    pub(super) fn change(&mut self, id: DeliveryId, retry: bool) {
        let row = self.rows.get_mut(&id).unwrap();
        if !retry && row.due.is_none() {
            return;
        }
        row.due = retry.then_some(self.now);
        row.revision += 1;
        self.hints.push_back(Heard::Rescheduled(Rescheduled {
            delivery_id: id,
            subscription_id: row.subscription,
            trigger: Trigger::Manual,
            due: row.due,
        }));
    }

    pub(super) fn hear(&mut self) {
        for heard in self.hints.drain(..) {
            match heard {
                Heard::Accepted(fresh) => self.schedule.accepted(&fresh),
                Heard::Rescheduled(change) => self.schedule.rescheduled(&change),
            }
        }
    }

    pub(super) fn set_state(&mut self, n: u8, state: State) {
        let subscription = &mut self.subscriptions[usize::from(n)];
        if subscription.state == state {
            return;
        }
        *subscription =
            subscription.with_state(state, StateCode::Requested, String::new(), self.now);
        self.changes.push_back(Arc::new(subscription.clone()));
    }

    pub(super) fn hear_changes(&mut self) {
        for subscription in self.changes.drain(..) {
            self.schedule.changed(Arc::new(Endpoint::new(subscription)));
        }
    }

    pub(super) fn start(&mut self) {
        self.schedule.advance(self.now);
        while let Some(start) = self.schedule.next_start() {
            let id = start.key.delivery_id;
            let subscription = start.endpoint.subscription();
            assert!(start.key.due <= self.now, "{id} was started early");
            assert!(
                self.flights.iter().all(|flight| flight.id != id),
                "{id} was started twice"
            );
            assert_eq!(subscription.state, State::Active);
            assert!(self.owns(subscription.id), "{id} is another's");
            if subscription.spec.rate_limit.is_some() {
                self.limited.push(self.now);
            }
            let ahead = self.ahead_of(id);
            self.flights.push(Flight {
                ahead,
                subscription: subscription.id,
                id,
                revision: self.rows[&id].revision,
            });
            let of_same = self
                .flights
                .iter()
                .filter(|flight| flight.subscription == subscription.id);
            assert!(of_same.count() <= subscription.spec.max_in_flight.get() as usize);
        }
        assert!(self.flights.len() <= SETTINGS.max_in_flight);
        let minute = self.now.before(Duration::from_mins(1));
        self.limited.retain(|time| *time > minute);
        assert!(self.limited.len() <= IN_A_MINUTE, "{:?}", self.limited);
    }

    fn ahead_of(&self, id: DeliveryId) -> Option<DueKey> {
        let key = self.rows[&id].ordering_key?;
        let mut before = self.rows.range(..id);
        before.find_map(|(id, row)| {
            let same = row.ordering_key == Some(key);
            row.due.filter(|_| same).map(|due| DueKey {
                due,
                delivery_id: *id,
            })
        })
    }

    /// An attempt ends the way the store and the attempt decide together.
    pub(super) fn end(&mut self, nth: u8, retry_in: Option<u8>) {
        let Some(nth) = usize::from(nth).checked_rem(self.flights.len()) else {
            return;
        };
        let flight = self.flights.swap_remove(nth);
        let row = self.rows.get_mut(&flight.id).unwrap();
        let ended = match row.due {
            None if row.revision == flight.revision => Ended::Settled,
            Some(due) if row.revision == flight.revision && due > self.now => Ended::DueAt(due),
            Some(_) if flight.ahead.is_some() => Ended::Behind(flight.ahead.unwrap()),
            _ => {
                let retry = retry_in.map(|s| self.now.after(Duration::from_secs(s.into())));
                if row.revision == flight.revision {
                    row.due = retry;
                    row.revision += 1;
                }
                Ended::Made {
                    succeeded: retry.is_none(),
                    due: retry,
                }
            }
        };
        // The store's promise: hints come before results.
        self.hear();
        self.schedule.ended(flight.subscription, flight.id, ended);
    }

    pub(super) fn fail(&mut self, nth: u8) {
        let Some(nth) = usize::from(nth).checked_rem(self.flights.len()) else {
            return;
        };
        let flight = self.flights.swap_remove(nth);
        self.hear();
        self.schedule
            .ended(flight.subscription, flight.id, Ended::Unchanged);
    }

    pub(super) fn ask(&mut self) {
        self.schedule.advance(self.now);
        while let Some(fetch) = self.schedule.next_fetch() {
            self.asked.push(fetch);
        }
    }

    pub(super) fn read(&mut self, nth: u8) {
        let Some(nth) = usize::from(nth).checked_rem(self.asked.len()) else {
            return;
        };
        let fetch = self.asked.swap_remove(nth);
        let id = fetch.subscription;
        let page = fetch.queue.map(|range| {
            let queue: BTreeSet<_> = self
                .waiting()
                .filter(|(key, row)| row.subscription == id && Some(*key) > range.after)
                .map(|(key, _)| key)
                .collect();
            DuePage {
                complete: queue.len() <= range.limit,
                entries: queue.into_iter().take(range.limit).collect(),
                as_of: crate::storage::CommitNumber(0),
            }
        });
        let subscription = self
            .subscriptions
            .iter()
            .find(|subscription| subscription.id == id);
        let endpoint = Endpoint::new(Arc::new(subscription.unwrap().clone()));
        self.read.push(Fetched {
            subscription: id,
            endpoint: fetch.endpoint.then(|| Arc::new(endpoint)),
            page,
            outcome: FetchOutcome::Done,
        });
    }

    pub(super) fn deliver(&mut self, nth: u8, fails: bool) {
        let Some(nth) = usize::from(nth).checked_rem(self.read.len()) else {
            return;
        };
        let mut fetched = self.read.swap_remove(nth);
        if fails {
            fetched.page = None;
            fetched.endpoint = None;
            fetched.outcome = FetchOutcome::Failed;
        }
        self.schedule.fetched(fetched);
    }
}
