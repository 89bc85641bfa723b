//! Lists and their pages.

use postrider::{
    domain::{
        Attributes, DeliveryFilter, DeliveryId, DeliveryState, ErrorKind, Event, EventId, Labels,
        TimeRange,
    },
    storage::{Engine, EventFilter, PageRequest, View},
};

use super::super::{build::*, fixture::Fixture};

/// Two events a day over three days, each to subscriptions 1 and 2.
async fn fill(engine: &dyn Engine) -> Vec<EventId> {
    subscribe(engine, 2).await;
    let mut ids = Vec::new();
    for number in 0..6_u64 {
        let event = event(u128::from(number) + 1, days_after(number / 2));
        ids.push(event.id);
        deliver(engine, event, &[1, 2]).await;
    }
    ids.sort();
    ids.reverse();
    ids
}

async fn deliveries(engine: &dyn Engine, filter: &DeliveryFilter, size: usize) -> Vec<DeliveryId> {
    let list = |request| engine.list_deliveries(tenant(), filter, request);
    let all = every_page(size, list).await;
    all.iter().map(|delivery| delivery.id).collect()
}

/// The deliveries of these ordinals of the events, newest first.
fn of(events: &[EventId], ordinals: &[u16]) -> Vec<DeliveryId> {
    let deliveries = events
        .iter()
        .flat_map(|event| ordinals.iter().map(|n| DeliveryId::new(*event, *n)));
    deliveries.collect()
}

pub async fn deliveries_list_newest_first_by_every_way(store: &mut dyn Fixture) {
    let events = fill(&**store.engine()).await;
    store.reopen().await;
    let engine = &**store.engine();
    let all = DeliveryFilter::default();
    let by_subscription = DeliveryFilter {
        subscription_id: Some(sub(2)),
        ..all.clone()
    };
    let by_event = DeliveryFilter {
        event_id: Some(events[3]),
        ..all.clone()
    };
    let by_delivery = DeliveryFilter {
        delivery_id: Some(DeliveryId::new(events[3], 1)),
        ..all.clone()
    };
    let by_both = DeliveryFilter {
        subscription_id: Some(sub(1)),
        ..by_event.clone()
    };
    for size in [1, 3, 100] {
        assert_eq!(deliveries(engine, &all, size).await, of(&events, &[1, 0]));
        assert_eq!(
            deliveries(engine, &by_subscription, size).await,
            of(&events, &[1])
        );
        assert_eq!(
            deliveries(engine, &by_event, size).await,
            of(&events[3..4], &[1, 0])
        );
        assert_eq!(
            deliveries(engine, &by_delivery, size).await,
            of(&events[3..4], &[1])
        );
        assert_eq!(
            deliveries(engine, &by_both, size).await,
            of(&events[3..4], &[0])
        );
    }
}

pub async fn a_time_range_holds_its_start_and_not_its_end(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let events = fill(engine).await;
    for subscription_id in [None, Some(sub(1))] {
        let filter = DeliveryFilter {
            subscription_id,
            accepted: TimeRange {
                start: days_after(1),
                end: days_after(2),
            },
            ..DeliveryFilter::default()
        };
        let mut seen = deliveries(engine, &filter, 1).await;
        seen.retain(|id| id.ordinal() == 0);
        assert_eq!(seen, of(&events[2..4], &[0]));
    }
}

pub async fn filters_look_at_the_shown_state_and_the_last_outcome(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let events = fill(engine).await;
    let ids = of(&events, &[0]);
    let records = vec![succeeded(ids[0], 1), failed(ids[1], 1, after(60))];
    engine.record_attempts(records).await.unwrap();
    assert!(engine.attempt_started(sub(1), ids[2]));
    let filter = |set: fn(&mut DeliveryFilter)| {
        let mut filter = DeliveryFilter {
            subscription_id: Some(sub(1)),
            ..DeliveryFilter::default()
        };
        set(&mut filter);
        filter
    };
    let cases = [
        (filter(|f| f.states = vec![DeliveryState::Succeeded]), 0),
        (filter(|f| f.states = vec![DeliveryState::Retrying]), 1),
        (filter(|f| f.states = vec![DeliveryState::Delivering]), 2),
        (filter(|f| f.status_classes = vec![2]), 0),
        (filter(|f| f.error_kinds = vec![ErrorKind::Status]), 1),
    ];
    for (filter, expected) in cases {
        assert_eq!(deliveries(engine, &filter, 2).await, [ids[expected]]);
    }
}

pub async fn a_list_goes_on_where_it_was_under_writes(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let events = fill(engine).await;
    let filter = EventFilter {
        types: Vec::new(),
        accepted: TimeRange::ALL,
    };
    let list = |request| engine.list_events(tenant(), &filter, View::Full, request);
    let first = list(page(4)).await.unwrap();
    deliver(engine, event(99, days_after(5)), &[1]).await;
    let rest = list(PageRequest {
        size: 4,
        cursor: first.next,
    });
    let rest = rest.await.unwrap();
    let seen: Vec<EventId> = first
        .items
        .iter()
        .chain(&rest.items)
        .map(|event| event.id)
        .collect();
    assert_eq!(seen, events);
    assert_eq!(rest.next, None);
}

pub async fn attempts_list_by_delivery_newest_first(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let events = fill(engine).await;
    let ids = of(&events[..2], &[0]);
    for round in 0..3 {
        for id in &ids {
            let mut record = failed(*id, 1, after(60 + u64::from(round)));
            record.revision = round;
            if round > 0 {
                record.due = after(60 + u64::from(round - 1));
            }
            record.attempt.number = round + 1;
            engine.record_attempts(vec![record]).await.unwrap();
        }
    }
    let filter = DeliveryFilter::default();
    let list = |request| engine.list_attempts(tenant(), &filter, request);
    let seen = every_page(2, list).await;
    let seen: Vec<_> = seen
        .iter()
        .map(|attempt| (attempt.delivery_id, attempt.number))
        .collect();
    let expected: Vec<_> = ids
        .iter()
        .flat_map(|id| [3, 2, 1].map(|number| (*id, number)))
        .collect();
    assert_eq!(seen, expected);
}

/// A client takes no more than 4 MiB in one answer, unless it is told to.
pub async fn a_page_ends_when_it_is_large_whatever_makes_it_so(store: &mut dyn Fixture) {
    const EVENTS: usize = 100;
    let engine = &**store.engine();
    let attributes = (0..32).map(|n| (format!("key-{n}"), "v".repeat(1_024)));
    let attributes = Attributes::new(attributes.collect()).unwrap();
    let headers = vec![("name".to_owned(), "v".repeat(32 * 1_024))];
    for number in 0..EVENTS as u128 {
        let event = Event {
            attributes: attributes.clone(),
            ..event(number, NOON)
        };
        let mut record = succeeded(deliver(engine, event, &[1]).await, 1);
        record.attempt.request_headers.clone_from(&headers);
        engine.record_attempts(vec![record]).await.unwrap();
    }
    let filter = EventFilter {
        types: Vec::new(),
        accepted: TimeRange::ALL,
    };
    for view in [View::Basic, View::Full] {
        let list = |request| engine.list_events(tenant(), &filter, view, request);
        let first = list(page(EVENTS)).await.unwrap().items.len();
        assert!((1..90).contains(&first), "{first} events of 33 KB");
        assert_eq!(every_page(EVENTS, list).await.len(), EVENTS);
    }
    let filter = DeliveryFilter::default();
    let list = |request| engine.list_attempts(tenant(), &filter, request);
    let first = list(page(EVENTS)).await.unwrap().items.len();
    assert!((1..90).contains(&first), "{first} attempts of 32 KB");
    assert_eq!(every_page(EVENTS, list).await.len(), EVENTS);
    let labels = (0..64).map(|n| (format!("key-{n}"), "v".repeat(256)));
    let labels = Labels::new(labels.collect()).unwrap();
    for number in 0..EVENTS as u128 {
        let mut large = subscription(number);
        large.spec.labels = labels.clone();
        large.spec.description = "v".repeat(8 * 1_024);
        engine.create_subscription(large, None, None).await.unwrap();
    }
    let list = |request| engine.list_subscriptions(tenant(), request);
    let first = list(page(EVENTS)).await.unwrap().items.len();
    assert!((1..90).contains(&first), "{first} subscriptions of 24 KB");
    assert_eq!(every_page(EVENTS, list).await.len(), EVENTS);
}

pub async fn what_is_rare_is_found_behind_many_others(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let rare = Event {
        event_type: "rare".parse().unwrap(),
        ..event(0, NOON)
    };
    deliver(engine, rare.clone(), &[1]).await;
    for chunk in 0..5_u128 {
        let events = (1..=1_000).map(|n| routed(event(chunk * 1_000 + n, after(1)), &[]));
        accept(engine, events.collect()).await.unwrap();
    }
    let filter = EventFilter {
        types: vec!["rare".parse().unwrap()],
        accepted: TimeRange::ALL,
    };
    let list = |request| engine.list_events(tenant(), &filter, View::Full, request);
    assert_eq!(every_page(10, list).await, std::slice::from_ref(&rare));
    let all = DeliveryFilter::default();
    let found = deliveries(engine, &all, 10).await;
    assert_eq!(found, [DeliveryId::new(rare.id, 0)]);
}
