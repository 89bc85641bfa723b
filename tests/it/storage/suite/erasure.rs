//! Content that is erased before its time, and what stays.

use postrider::{
    domain::{
        Attributes, DeliveryFilter, DeliveryId, DeliveryState, Erasure, Event, EventId,
        NotChangeable, TimeRange,
    },
    storage::{
        Accepted, ChunkSize, DeliveryChange, Engine, Erased, Error, EventFilter, LogPosition,
        Resource, View, copy,
    },
};

use super::super::{build::*, fixture::Fixture, wait::logged};
use crate::support::within;

const KEY: &str = "key-1";

/// An event with everything that can be erased, and a key.
fn secret(number: u128) -> Event {
    let attributes = [("name".to_owned(), "Ada".to_owned())];
    Event {
        payload: payload(vec![b'7'; 20_000]),
        attributes: Attributes::new(attributes.into()).unwrap(),
        idempotency_key: Some(KEY.to_owned()),
        ..event(number, NOON)
    }
}

async fn erase(engine: &dyn Engine, what: Erasure) -> Erased {
    engine.erase(tenant(), what, after(5)).await.unwrap()
}

async fn read(engine: &dyn Engine, id: EventId) -> Event {
    engine.event(tenant(), id, View::Full).await.unwrap()
}

async fn state(engine: &dyn Engine, id: DeliveryId) -> DeliveryState {
    engine.delivery(tenant(), id).await.unwrap().state
}

/// Accepts an event to two subscriptions and delivers it to the first.
async fn half_delivered(engine: &dyn Engine, event: Event) -> [DeliveryId; 2] {
    let first = deliver(engine, event, &[1, 2]).await;
    let recorded = engine.record_attempts(vec![succeeded(first, 1)]).await;
    recorded.unwrap();
    [first, DeliveryId::new(first.event_id(), 1)]
}

pub async fn an_erased_event_keeps_its_skeleton_and_nothing_else(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 2).await;
    let engine = &**store.engine();
    let [delivered, pending] = half_delivered(engine, secret(1)).await;
    let [untouched, _] = half_delivered(engine, event(2, NOON)).await;
    let log = logged(engine, LogPosition::default(), 2).await;
    let mut hints = engine.hints();

    let id = delivered.event_id();
    let erased = erase(engine, Erasure::Event(id)).await;
    let expected = Erased {
        events: 1,
        attempts: 1,
        cancelled: 1,
        shared: 0,
    };
    assert_eq!(erased, expected);
    let told = within("the hint", async {
        loop {
            let hint = hints.recv().await.unwrap();
            if let [told, ..] = hint.rescheduled.as_slice() {
                return (told.delivery_id, told.due);
            }
        }
    })
    .await;
    assert_eq!(told, (pending, None));
    for _ in 0..2 {
        let engine = &**store.engine();
        let event = read(engine, id).await;
        assert_eq!(event, secret(1).erased(after(5)));
        assert_eq!(event.erase_time, Some(after(5)));
        let filter = EventFilter {
            types: Vec::new(),
            accepted: TimeRange::ALL,
        };
        let list = |page| engine.list_events(tenant(), &filter, View::Full, page);
        let listed = every_page(1, list).await;
        assert_eq!(listed, [read(engine, untouched.event_id()).await, event]);
        assert_eq!(state(engine, delivered).await, DeliveryState::Succeeded);
        assert_eq!(state(engine, pending).await, DeliveryState::Cancelled);
        assert!(engine.load_work(sub(2), pending).await.unwrap().is_none());
        let waiting = engine.due(sub(2), None, 9).await.unwrap().entries;
        assert_eq!(waiting.len(), 1, "of the other event");

        let now = read_all(engine, LogPosition::default()).await;
        let stays = (log[0].0, log[0].1.as_ref().clone().erased());
        assert_eq!((now[0].0, now[0].1.as_ref().clone()), stays);
        assert_eq!(now[1], log[1]);
        let filter = DeliveryFilter {
            event_id: Some(id),
            ..DeliveryFilter::default()
        };
        let list = |page| engine.list_attempts(tenant(), &filter, page);
        assert_eq!(every_page(9, list).await, [now[0].1.clone()]);
        // Nothing is left to be erased.
        let again = erase(engine, Erasure::Event(id)).await;
        assert_eq!(again, Erased::default());
        store.reopen().await;
    }
}

pub async fn nothing_that_was_erased_is_sent_again(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 2).await;
    let engine = &**store.engine();
    let [delivered, pending] = half_delivered(engine, secret(1)).await;
    erase(engine, Erasure::Event(delivered.event_id())).await;
    for id in [delivered, pending] {
        let retried = engine.change_delivery(tenant(), id, DeliveryChange::Retry, after(9));
        let refused = retried.await.unwrap_err();
        assert!(
            matches!(refused, Error::NotChangeable(NotChangeable::PayloadErased)),
            "{refused:?}"
        );
    }
}

pub async fn an_attempt_under_way_while_its_event_is_erased_is_logged_without_content(
    store: &mut dyn Fixture,
) {
    subscribe(&**store.engine(), 2).await;
    let engine = &**store.engine();
    let delivery = deliver(engine, secret(1), &[1]).await;
    assert!(engine.attempt_started(sub(1), delivery));
    erase(engine, Erasure::Event(delivery.event_id())).await;
    let record = failed(delivery, 1, after(60));
    engine.record_attempts(vec![record.clone()]).await.unwrap();
    for _ in 0..2 {
        let engine = &**store.engine();
        assert_eq!(state(engine, delivery).await, DeliveryState::Cancelled);
        let log = logged(engine, LogPosition::default(), 1).await;
        let mut expected = record.attempt.clone().erased();
        expected.next_attempt_time = None;
        assert_eq!(*log[0].1, expected);
        store.reopen().await;
    }
}

pub async fn a_subscription_is_erased_with_what_it_alone_got(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 2).await;
    let engine = &**store.engine();
    let alone = deliver(engine, secret(1), &[1]).await;
    let [shared, waiting] = half_delivered(engine, event(2, NOON)).await;
    let other = deliver(engine, event(3, NOON), &[2]).await;
    let records = vec![succeeded(alone, 1), succeeded(other, 2)];
    engine.record_attempts(records).await.unwrap();
    let log = logged(engine, LogPosition::default(), 3).await;

    let erased = erase(engine, Erasure::Subscription(sub(1))).await;
    let expected = Erased {
        events: 1,
        attempts: 2,
        cancelled: 0,
        shared: 1,
    };
    assert_eq!(erased, expected);
    for _ in 0..2 {
        let engine = &**store.engine();
        assert!(read(engine, alone.event_id()).await.is_erased());
        for kept in [shared, other] {
            let event = read(engine, kept.event_id()).await;
            assert_eq!(
                (event.is_erased(), event.payload),
                (false, payload("{\"n\":1}"))
            );
        }
        assert_eq!(state(engine, waiting).await, DeliveryState::Pending);
        for ((_, now), (_, before)) in read_all(engine, LogPosition::default())
            .await
            .iter()
            .zip(&log)
        {
            let before = before.as_ref().clone();
            let is_erased = before.subscription_id == sub(1);
            let expected = if is_erased { before.erased() } else { before };
            assert_eq!(**now, expected);
        }
        store.reopen().await;
    }
}

pub async fn a_time_range_is_erased_over_the_days_and_no_further(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    let engine = &**store.engine();
    let mut ids = Vec::new();
    for number in 0..150 {
        let time = days_after(u64::try_from(number / 50).unwrap()).after(
            std::time::Duration::from_secs(u64::try_from(number % 50).unwrap()),
        );
        ids.push(deliver(engine, event(number, time), &[1]).await.event_id());
    }
    let range = TimeRange {
        start: after(1),
        end: days_after(2).after(std::time::Duration::from_secs(49)),
    };
    let foreign = "other".parse().unwrap();
    let none = engine.erase(&foreign, Erasure::Accepted(range), after(5));
    assert_eq!(none.await.unwrap(), Erased::default());
    let erased = erase(engine, Erasure::Accepted(range)).await;
    assert_eq!((erased.events, erased.cancelled), (148, 148));
    for (number, id) in ids.iter().enumerate() {
        let is_erased = read(engine, *id).await.is_erased();
        assert_eq!(is_erased, number != 0 && number != 149, "{number}");
    }
}

pub async fn what_is_not_there_or_anothers_is_not_erased(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    let engine = &**store.engine();
    let id = deliver(engine, secret(1), &[1]).await.event_id();
    let unknown = event(2, NOON).id;
    let foreign = "other".parse().unwrap();
    for (tenant, id) in [(tenant(), unknown), (&foreign, id)] {
        let refused = engine.erase(tenant, Erasure::Event(id), after(5)).await;
        assert!(matches!(refused, Err(Error::NotFound(Resource::Event(it))) if it == id));
    }
    let of_subscription = engine.erase(&foreign, Erasure::Subscription(sub(1)), after(5));
    assert_eq!(of_subscription.await.unwrap(), Erased::default());
    assert!(!read(engine, id).await.is_erased());
}

pub async fn the_key_of_an_erased_event_is_still_remembered(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    let id = deliver(&**store.engine(), secret(1), &[1]).await.event_id();
    erase(&**store.engine(), Erasure::Event(id)).await;
    store.reopen().await;
    let other = Event {
        payload: payload("{}"),
        ..secret(2)
    };
    for repeated in [secret(2), other] {
        let answers = accept(&**store.engine(), vec![routed(repeated, &[1])]).await;
        let expected = Accepted {
            event_id: id,
            duplicate: true,
            delivery_count: 1,
        };
        assert_eq!(answers.unwrap(), [expected]);
    }
}

pub async fn a_copy_is_erased_where_its_source_is(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 2).await;
    let engine = &**store.engine();
    let [delivered, _] = half_delivered(engine, secret(1)).await;
    half_delivered(engine, event(2, NOON)).await;
    let id = delivered.event_id();
    erase(engine, Erasure::Event(id)).await;
    let target = store.another().await;
    let engine = &**store.engine();
    let size = ChunkSize {
        records: 3,
        bytes: 1_000_000,
    };
    let totals = copy(engine, "memory:source", &*target, size, &mut |_| {}).await;
    assert_eq!(totals.unwrap().erased, 1);
    assert_eq!(read(&*target, id).await, secret(1).erased(after(5)));
    let repeated = accept(&*target, vec![routed(secret(2), &[1])])
        .await
        .unwrap();
    assert!(repeated[0].duplicate);
    let log = read_all(&*target, LogPosition::default()).await;
    assert_eq!(log, read_all(engine, LogPosition::default()).await);
}
