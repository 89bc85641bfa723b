//! The calls: each is made to the store and to the model, and what they answer
//! is compared.

use std::time::Duration;

use postrider::{
    domain::{
        AttemptId, DeliveryId, Erasure, Event, EventId, Next, NotChangeable, TimeRange, Version,
    },
    storage::{AttemptRecord, DeliveryChange, Error, Routed},
};
use proptest::{collection::vec, option, prelude::*};

use super::{
    super::{
        build::{accept, event, failed, payload, routed, sub, subscription, succeeded, tenant},
        fixture::Fixture,
    },
    reference::{Logged, Reference},
};

/// A call. What it is about is picked from what there is by a number.
#[derive(Debug, Clone)]
pub enum Operation {
    Subscribe(u128),
    Update(u128),
    Unsubscribe(u128),
    Accept(Vec<Publication>),
    /// Attempts, each by the pick of its delivery.
    Record(Vec<(usize, Outcome)>),
    Change(usize, DeliveryChange),
    CancelPending(u128, usize),
    Erase(Target),
    Advance(Duration),
    Reopen,
    Crash,
}

/// An event to be published: its key, what it says, and the subscriptions.
#[derive(Debug, Clone)]
pub struct Publication {
    key: Option<u8>,
    text: u8,
    to: Vec<u128>,
}

/// What is to be erased.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// An event, by a pick.
    Event(usize),
    Subscription(u128),
    /// What was accepted within so many seconds.
    Last(u64),
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    Succeeded,
    RetryAfter(u64),
    /// The delivery changed meanwhile.
    Late,
}

pub fn operation() -> impl Strategy<Value = Operation> {
    let number = || 1..=4_u128;
    let publication = (option::of(0..3_u8), 0..2_u8, vec(number(), 0..4))
        .prop_map(|(key, text, to)| Publication { key, text, to });
    let outcome = prop_oneof![
        2 => Just(Outcome::Succeeded),
        2 => (1..100_000_u64).prop_map(Outcome::RetryAfter),
        1 => Just(Outcome::Late),
    ];
    let change = prop_oneof![Just(DeliveryChange::Retry), Just(DeliveryChange::Cancel)];
    let target = prop_oneof![
        3 => any::<usize>().prop_map(Target::Event),
        1 => number().prop_map(Target::Subscription),
        1 => (1..100_000_u64).prop_map(Target::Last),
    ];
    prop_oneof![
        3 => number().prop_map(Operation::Subscribe),
        1 => number().prop_map(Operation::Update),
        1 => number().prop_map(Operation::Unsubscribe),
        8 => vec(publication, 1..4).prop_map(Operation::Accept),
        8 => vec((any::<usize>(), outcome), 1..4).prop_map(Operation::Record),
        3 => (any::<usize>(), change).prop_map(|(pick, change)| Operation::Change(pick, change)),
        1 => (number(), 1..5_usize).prop_map(|(of, most)| Operation::CancelPending(of, most)),
        1 => target.prop_map(Operation::Erase),
        4 => (1..50_000_u64).prop_map(|time| Operation::Advance(Duration::from_secs(time))),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::Crash),
    ]
}

impl Operation {
    pub async fn run(self, store: &mut dyn Fixture, model: &mut Reference) {
        match self {
            Self::Subscribe(number) => subscribe(store, model, number).await,
            Self::Update(number) => update(store, model, number).await,
            Self::Unsubscribe(number) => unsubscribe(store, model, number).await,
            Self::Accept(publications) => publish(store, model, publications).await,
            Self::Record(attempts) => record(store, model, attempts).await,
            Self::Change(pick, change) => change_delivery(store, model, pick, change).await,
            Self::CancelPending(number, most) => cancel_pending(store, model, number, most).await,
            Self::Erase(target) => erase(store, model, target).await,
            Self::Advance(time) => {
                model.now = model.now.after(time);
                store.clock().set(model.now);
            }
            Self::Reopen => store.reopen().await,
            Self::Crash => store.crash().await,
        }
    }
}

async fn subscribe(store: &dyn Fixture, model: &mut Reference, number: u128) {
    if model.subscriptions.contains_key(&number) {
        return;
    }
    let new = subscription(number);
    let created = store
        .engine()
        .create_subscription(new.clone(), None, None)
        .await;
    created.unwrap();
    model.subscriptions.insert(number, Some(new));
}

async fn update(store: &dyn Fixture, model: &mut Reference, number: u128) {
    let Some(Some(current)) = model.subscriptions.get_mut(&number) else {
        return;
    };
    let changed = current.with_spec(current.spec.clone(), model.now);
    let replace = |expected| {
        store
            .engine()
            .replace_subscription(changed.clone(), expected)
    };
    let stale = replace(Version(current.version.0 + 1)).await;
    assert!(matches!(stale, Err(Error::VersionMismatch)));
    replace(current.version).await.unwrap();
    *current = changed;
}

async fn unsubscribe(store: &dyn Fixture, model: &mut Reference, number: u128) {
    let engine = store.engine();
    let deleted = engine.delete_subscription(tenant(), sub(number), None, model.now);
    let deleted = deleted.await;
    match model.subscriptions.get_mut(&number).and_then(Option::take) {
        Some(_) => deleted.unwrap(),
        None => assert!(matches!(deleted, Err(Error::NotFound(_)))),
    }
}

async fn publish(store: &dyn Fixture, model: &mut Reference, publications: Vec<Publication>) {
    let live = model.live();
    let mut call: Vec<(Event, Vec<u128>)> = Vec::new();
    for publication in publications {
        model.accepted += 1;
        let event = Event {
            payload: payload(vec![publication.text]),
            idempotency_key: publication.key.map(|key| format!("key-{key}")),
            ..event(model.accepted, model.now)
        };
        let mut to = publication.to;
        to.retain(|number| live.contains(number));
        to.dedup();
        call.push((event, to));
    }
    let events: Vec<Routed> = call
        .iter()
        .map(|(event, to)| routed(event.clone(), to))
        .collect();
    let answers = accept(&**store.engine(), events).await;

    // Events of one call see each other, and all of them count or none.
    let before = (model.events.clone(), model.deliveries.clone());
    let mut expected = Vec::new();
    for (index, (event, to)) in call.into_iter().enumerate() {
        let key = event.idempotency_key.clone();
        let first = key.and_then(|key| model.used(&key, model.now));
        let Some(first) = first.cloned() else {
            expected.push((event.id, false));
            model.accept(event, &to);
            continue;
        };
        // Of what was erased the key alone counts.
        if !first.is_erased() && first.payload != event.payload {
            (model.events, model.deliveries) = before;
            let Err(Error::KeyReused {
                index: at,
                first: by,
            }) = answers
            else {
                panic!("{answers:?}");
            };
            assert_eq!((at, by), (index, first.id));
            return;
        }
        expected.push((first.id, true));
    }
    let answers = answers.unwrap();
    let counts = answers.iter().map(|answer| answer.delivery_count);
    let expected_counts = expected.iter().map(|(id, _)| model.delivery_count(*id));
    assert!(counts.eq(expected_counts));
    let answers: Vec<_> = answers
        .iter()
        .map(|answer| (answer.event_id, answer.duplicate))
        .collect();
    assert_eq!(answers, expected);
}

async fn record(store: &dyn Fixture, model: &mut Reference, attempts: Vec<(usize, Outcome)>) {
    let mut records = Vec::new();
    let mut log = Vec::new();
    for (pick, outcome) in attempts {
        let Some(id) = picked(model, pick) else {
            break;
        };
        let now = model.now;
        let delivery = &model.deliveries[&id];
        let number = (1..=4).find(|number| sub(*number) == delivery.subscription_id);
        let number = number.expect("there are four");
        let late = matches!(outcome, Outcome::Late);
        if delivery.state.is_settled() && !late {
            continue;
        }
        let mut record = match outcome {
            Outcome::Succeeded | Outcome::Late => succeeded(id, number),
            Outcome::RetryAfter(seconds) => {
                failed(id, number, now.after(Duration::from_secs(seconds)))
            }
        };
        model.attempted += 1;
        record.attempt.id = AttemptId::new(now, model.attempted);
        record.now = now;
        record.revision = delivery.revision.wrapping_sub(u32::from(late));
        let was_due = model.was_due.get(&id).copied().flatten();
        let due = if late { was_due } else { delivery.due };
        record.due = due.unwrap_or(delivery.create_time);
        let last = postrider::domain::LastOutcome {
            error_kind: record.attempt.error_kind,
            response_status: record.attempt.response_status,
        };
        let changed = if late {
            delivery.attempted_late(last, now)
        } else {
            delivery.attempted(last, record.next, now)
        };
        let next = match record.next {
            Next::RetryAt(time) if !late => Some(time),
            _ => changed.due,
        };
        model.change(changed);
        log.push(Logged {
            delivery: id,
            next,
            erased: model.is_erased(id),
        });
        records.push(record);
    }
    model.log.push(log);
    let recorded: Vec<AttemptRecord> = records;
    store.engine().record_attempts(recorded).await.unwrap();
}

async fn change_delivery(
    store: &dyn Fixture,
    model: &mut Reference,
    pick: usize,
    change: DeliveryChange,
) {
    let Some(id) = picked(model, pick) else {
        return;
    };
    let engine = store.engine();
    let changed = engine
        .change_delivery(tenant(), id, change, model.now)
        .await;
    let delivery = &model.deliveries[&id];
    let before = model.shown(delivery);
    let expected = match change {
        DeliveryChange::Retry if model.is_orphan(delivery) => {
            assert!(matches!(changed, Err(Error::NotFound(_))), "{changed:?}");
            return;
        }
        DeliveryChange::Retry if model.is_erased(id) => Err(NotChangeable::PayloadErased),
        DeliveryChange::Retry => before.retried(model.now),
        DeliveryChange::Cancel => before.cancelled(model.now),
    };
    match expected {
        Ok(expected) => {
            assert_eq!(changed.unwrap(), expected);
            model.change(expected);
        }
        Err(why) => {
            let why: NotChangeable = why;
            let refused = changed.unwrap_err();
            assert!(matches!(refused, Error::NotChangeable(found) if found == why));
        }
    }
}

async fn cancel_pending(store: &dyn Fixture, model: &mut Reference, number: u128, most: usize) {
    let engine = store.engine();
    let cancelled = engine.cancel_pending(sub(number), most, model.now).await;
    let cancelled = cancelled.unwrap();
    let mut queue = model.queue(number);
    assert_eq!(cancelled, queue.len().min(most));
    // Which ones go first is the engine's to choose.
    let left = engine.due(sub(number), None, 10_000).await.unwrap().entries;
    queue.retain(|place| !left.contains(place));
    assert_eq!(queue.len(), cancelled);
    for place in queue {
        let delivery = &model.deliveries[&place.delivery_id];
        let delivery = delivery.cancelled(model.now).unwrap();
        model.change(delivery);
    }
}

async fn erase(store: &dyn Fixture, model: &mut Reference, target: Target) {
    let what = match target {
        Target::Event(pick) => {
            let Some(id) = pick_of::<EventId>(model.events.keys(), pick) else {
                return;
            };
            Erasure::Event(id)
        }
        Target::Subscription(number) => Erasure::Subscription(sub(number)),
        Target::Last(seconds) => Erasure::Accepted(TimeRange {
            start: model.now.before(Duration::from_secs(seconds)),
            end: model.now,
        }),
    };
    let erased = store.engine().erase(tenant(), what, model.now).await;
    assert_eq!(erased.unwrap(), model.erase(what));
}

fn picked(model: &Reference, pick: usize) -> Option<DeliveryId> {
    pick_of(model.deliveries.keys(), pick)
}

fn pick_of<'a, T: Copy + 'a>(ids: impl ExactSizeIterator<Item = &'a T>, pick: usize) -> Option<T> {
    let pick = pick.checked_rem(ids.len())?;
    ids.copied().nth(pick)
}
