//! The schedule against a model of the store: whatever the order in which
//! hints, pages and results arrive, nothing starts early or twice, nothing is
//! forgotten, and what is held stays within its bounds.

mod failing;
mod world;

use proptest::prelude::*;

use super::*;
use crate::{
    domain::{EventId, State, Subscription, SubscriptionSpec, Trigger},
    storage::DuePage,
};

use world::{SETTINGS, SUBSCRIPTIONS, World};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Events are accepted for the subscriptions of the bits.
    Accept {
        subscriptions: u8,
        delay: u8,
        count: u8,
    },
    /// Another process accepts events, which no hint tells.
    AcceptElsewhere {
        subscriptions: u8,
        delay: u8,
        count: u8,
    },
    /// The store looks at the queues.
    Wake,
    /// The queues of the bits are this process's, the others are not.
    Own(u8),
    /// The nth delivery there ever was is retried or cancelled by hand.
    Change {
        nth: u16,
        retry: bool,
    },
    /// The nth delivery under way is retried or cancelled by hand.
    ChangeFlight {
        nth: u8,
        retry: bool,
    },
    /// Hints arrive.
    Hear,
    /// Changes of subscriptions arrive.
    HearChanges,
    /// What has not arrived is lost, after the nth delivery under way was
    /// retried by hand.
    Lose {
        nth: u8,
    },
    Disable(u8),
    Enable(u8),
    /// Time goes by.
    Wait(u8),
    /// What can start starts.
    Start,
    /// The nth attempt under way ends.
    End {
        nth: u8,
        retry_in: Option<u8>,
    },
    /// The store fails the nth attempt under way.
    Fail {
        nth: u8,
    },
    /// The schedule asks for reads.
    Ask,
    /// The nth read asked for takes place.
    Read {
        nth: u8,
    },
    /// The nth read that took place arrives.
    Deliver {
        nth: u8,
        fails: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..1_u8 << SUBSCRIPTIONS, 0..20_u8, 1..12_u8).prop_map(
            |(subscriptions, delay, count)| Step::Accept { subscriptions, delay, count }
        ),
        3 => (1..1_u8 << SUBSCRIPTIONS, 0..20_u8, 1..12_u8).prop_map(
            |(subscriptions, delay, count)| Step::AcceptElsewhere { subscriptions, delay, count }
        ),
        3 => Just(Step::Wake),
        1 => (0..1_u8 << SUBSCRIPTIONS).prop_map(Step::Own),
        2 => any::<(u8, bool)>().prop_map(|(nth, retry)| Step::ChangeFlight { nth, retry }),
        2 => any::<(u16, bool)>().prop_map(|(nth, retry)| Step::Change { nth, retry }),
        4 => Just(Step::Hear),
        2 => Just(Step::HearChanges),
        1 => any::<u8>().prop_map(|nth| Step::Lose { nth }),
        1 => (0..SUBSCRIPTIONS).prop_map(Step::Disable),
        2 => (0..SUBSCRIPTIONS).prop_map(Step::Enable),
        3 => (0..10_u8).prop_map(Step::Wait),
        6 => Just(Step::Start),
        8 => (any::<u8>(), proptest::option::weighted(0.4, 0..30_u8))
            .prop_map(|(nth, retry_in)| Step::End { nth, retry_in }),
        1 => any::<u8>().prop_map(|nth| Step::Fail { nth }),
        4 => Just(Step::Ask),
        4 => any::<u8>().prop_map(|nth| Step::Read { nth }),
        4 => (any::<u8>(), proptest::bool::weighted(0.1))
            .prop_map(|(nth, fails)| Step::Deliver { nth, fails }),
    ]
}

impl World {
    fn take(&mut self, step: Step) {
        // No two things happen at the same time.
        self.now = self.now.after(Duration::from_micros(1));
        match step {
            Step::Accept {
                subscriptions,
                delay,
                count,
            } => {
                for _ in 0..count {
                    self.accept(subscriptions, delay);
                }
            }
            Step::AcceptElsewhere {
                subscriptions,
                delay,
                count,
            } => {
                for _ in 0..count {
                    self.accept_elsewhere(subscriptions, delay);
                }
            }
            Step::Wake => self.wake(),
            Step::Own(bits) => self.own(bits),
            Step::Change { nth, retry } => {
                let nth = usize::from(nth) % self.rows.len().max(1);
                if let Some(id) = self.rows.keys().nth(nth).copied() {
                    self.change(id, retry);
                }
            }
            Step::ChangeFlight { nth, retry } => {
                let nth = usize::from(nth) % self.flights.len().max(1);
                if let Some(id) = self.flights.get(nth).map(|flight| flight.id) {
                    self.change(id, retry);
                }
            }
            Step::HearChanges => self.hear_changes(),
            Step::Hear => self.hear(),
            Step::Lose { nth } => {
                self.take(Step::ChangeFlight { nth, retry: true });
                self.hints.clear();
                self.changes.clear();
                self.schedule.forget();
                self.scan();
            }
            Step::Disable(n) => self.set_state(n, State::Disabled),
            Step::Enable(n) => self.set_state(n, State::Active),
            Step::Wait(seconds) => self.now = self.now.after(Duration::from_secs(seconds.into())),
            Step::Start => self.start(),
            Step::End { nth, retry_in } => self.end(nth, retry_in),
            Step::Fail { nth } => self.fail(nth),
            Step::Ask => self.ask(),
            Step::Read { nth } => self.read(nth),
            Step::Deliver { nth, fails } => self.deliver(nth, fails),
        }
        let windows =
            SETTINGS.max_waiting + usize::from(SUBSCRIPTIONS) * SETTINGS.window_beside(usize::MAX);
        let most = windows + windows / window::PER_BEYOND;
        assert_eq!(self.schedule.turns.in_flight(), self.flights.len());
        let lanes = || self.schedule.lanes.values();
        let in_windows: usize = lanes().map(|lane| lane.window.len()).sum();
        assert!(in_windows <= most);
        let held: usize = lanes().map(Lane::len).sum();
        assert_eq!(self.schedule.entries, held);
    }

    /// Lets everything succeed until nothing more happens.
    fn settle(&mut self) {
        for n in 0..SUBSCRIPTIONS {
            self.set_state(n, State::Active);
        }
        self.own(u8::MAX);
        for _ in 0..10_000 {
            self.take(Step::Wait(5));
            self.take(Step::Wake);
            self.take(Step::Hear);
            self.take(Step::HearChanges);
            self.take(Step::Start);
            self.take(Step::Ask);
            while !self.asked.is_empty() {
                self.take(Step::Read { nth: 0 });
            }
            while !self.read.is_empty() {
                self.take(Step::Deliver {
                    nth: 0,
                    fails: false,
                });
            }
            while !self.flights.is_empty() {
                self.take(Step::End {
                    nth: 0,
                    retry_in: None,
                });
            }
            if self.waiting().next().is_none() {
                return;
            }
        }
        let left: Vec<_> = self.waiting().take(3).collect();
        panic!("forgotten: {left:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_delivery_is_sent_once_it_is_due_and_never_twice_at_once(
        backlog in 0..120_usize,
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        let mut world = World::new(backlog);
        for step in steps {
            world.take(step);
        }
        world.settle();
    }
}

#[test]
fn subscriptions_take_turns() {
    let mut world = World::new(0);
    for _ in 0..15 {
        world.accept(0b01, 0);
    }
    world.accept(0b10, 0);
    world.hear();
    world.ask();
    for _ in 0..2 {
        world.read(0);
        world.deliver(0, false);
    }
    // What was sent before is not known, so a limited one waits a little.
    world
        .schedule
        .advance(world.now.after(Duration::from_secs(2)));
    let mut turns = std::iter::from_fn(|| world.schedule.next_start());
    let first_two: BTreeSet<_> = turns
        .by_ref()
        .take(2)
        .map(|start| start.endpoint.subscription().id)
        .collect();
    assert_eq!(first_two.len(), 2);
}

#[test]
fn a_store_that_is_back_is_read_at_once() {
    let mut world = World::new(1);
    world.ask();
    world.read(0);
    world.deliver(0, true);
    world.ask();
    assert_eq!(world.asked, []);
    world.schedule.own();
    world.ask();
    assert_eq!(world.asked.len(), 1);
}

/// Ends the read that the schedule wants next: nothing is in the queue.
fn know_empty(schedule: &mut Schedule) {
    let fetch = schedule.next_fetch().unwrap();
    schedule.fetched(Fetched {
        subscription: fetch.subscription,
        endpoint: None,
        page: Some(DuePage {
            entries: Vec::new(),
            complete: true,
            as_of: crate::storage::CommitNumber(0),
        }),
        outcome: FetchOutcome::Done,
    });
}

fn accept_one(schedule: &mut Schedule, id: SubscriptionId, due: Timestamp, n: u128) {
    let event_id = EventId::new(due, n << 16);
    schedule.accepted(&FreshEvent {
        event_id,
        due,
        deliveries: event_id.deliveries(&[id]).collect(),
        trigger: Trigger::Event,
        event: None,
    });
}

#[test]
fn hanging_subscriptions_leave_permits_for_another() {
    let settings = Settings {
        max_in_flight: 1_024,
        ..Settings::default()
    };
    let hanging = 16;
    let mut schedule = Schedule::new(settings, Box::new(|_| true));
    schedule.scanned();
    schedule.advance(Timestamp::from_secs(1_000));
    let template = World::new(0).subscriptions.remove(0);
    let accept = |schedule: &mut Schedule, n: u128, events: u128| {
        let subscription = Subscription {
            id: SubscriptionId::new(Timestamp::MIN, n),
            spec: SubscriptionSpec {
                max_in_flight: SubscriptionSpec::DEFAULT_MAX_IN_FLIGHT,
                ..template.spec.clone()
            },
            ..template.clone()
        };
        let id = subscription.id;
        schedule.changed(Arc::new(Endpoint::new(Arc::new(subscription))));
        know_empty(schedule);
        for event in 0..events {
            accept_one(schedule, id, Timestamp::MIN, (n << 32) | event);
        }
    };
    for n in 0..hanging {
        accept(&mut schedule, n, 100);
    }
    let started = std::iter::from_fn(|| schedule.next_start()).count();
    assert!(started > 800, "{started}");
    accept(&mut schedule, hanging, 100);
    let started = std::iter::from_fn(|| schedule.next_start()).count();
    assert!(started >= 20, "{started}");
}
