//! Everything that can be read from a store, compared with the model.

use postrider::{
    domain::{Delivery, DeliveryFilter, Event, TimeRange},
    storage::{Engine, EventFilter, LogPosition, View},
};

use super::{
    super::{
        build::{every_page, sub, tenant},
        suite::stats::counted_as_logged,
        wait::logged,
    },
    reference::{Logged, Reference},
};

pub async fn everything(engine: &dyn Engine, model: &Reference) {
    subscriptions(engine, model).await;
    events(engine, model).await;
    deliveries(engine, model).await;
    queues(engine, model).await;
    log(engine, model).await;
}

async fn subscriptions(engine: &dyn Engine, model: &Reference) {
    let found = engine.tenant_subscriptions(tenant()).await.unwrap();
    let found: Vec<_> = found
        .subscriptions
        .iter()
        .map(|live| (**live).clone())
        .collect();
    let expected: Vec<_> = model.subscriptions.values().flatten().cloned().collect();
    assert_eq!(found, expected);
}

async fn events(engine: &dyn Engine, model: &Reference) {
    let all = EventFilter {
        types: Vec::new(),
        accepted: TimeRange::ALL,
    };
    let list = |request| engine.list_events(tenant(), &all, View::Full, request);
    let found = every_page(3, list).await;
    let expected: Vec<Event> = model.events.values().rev().cloned().collect();
    assert_eq!(found, expected);
}

async fn deliveries(engine: &dyn Engine, model: &Reference) {
    let expected: Vec<Delivery> = model
        .deliveries
        .values()
        .rev()
        .map(|delivery| model.shown(delivery))
        .collect();
    let list = |filter: DeliveryFilter| async move {
        let list = |request| engine.list_deliveries(tenant(), &filter, request);
        every_page(4, list).await
    };
    assert_eq!(list(DeliveryFilter::default()).await, expected);
    for number in model.subscriptions.keys() {
        let filter = DeliveryFilter {
            subscription_id: Some(sub(*number)),
            ..DeliveryFilter::default()
        };
        let mut of_subscription = expected.clone();
        of_subscription.retain(|delivery| delivery.subscription_id == sub(*number));
        assert_eq!(list(filter).await, of_subscription);
    }
    for delivery in &expected {
        let found = engine.delivery(tenant(), delivery.id).await.unwrap();
        assert_eq!(found, *delivery);
    }
}

async fn queues(engine: &dyn Engine, model: &Reference) {
    let mut waiting = Vec::new();
    for number in model.subscriptions.keys() {
        let expected = model.queue(*number);
        let mut found = Vec::new();
        loop {
            let after = found.last().copied();
            let page = engine.due(sub(*number), after, 2).await.unwrap();
            found.extend(page.entries);
            if page.complete {
                break;
            }
        }
        assert_eq!(found, expected);
        waiting.extend(expected.first().map(|first| (sub(*number), *first)));
    }
    let found = engine.due_subscriptions(None, 10).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|due| (due.subscription_id, due.first))
        .collect();
    assert_eq!(found, waiting);
}

async fn log(engine: &dyn Engine, model: &Reference) {
    let count = model.log.iter().map(Vec::len).sum();
    let found = logged(engine, LogPosition::default(), count).await;
    assert!(found.is_sorted_by(|(one, _), (next, _)| one < next));
    let end = found
        .last()
        .map_or_else(LogPosition::default, |(last, _)| *last);
    assert_eq!(*engine.log_end().borrow(), end);
    assert_eq!(found.len(), count);
    counted_as_logged(engine, count).await;
    let mut found = found.iter().map(|(_, attempt)| Logged {
        delivery: attempt.delivery_id,
        next: attempt.next_attempt_time,
        erased: **attempt == attempt.as_ref().clone().erased(),
    });
    for call in &model.log {
        // The attempts of a delivery are in order; which delivery of a call
        // comes first is the engine's to choose.
        let by_delivery = |logged: &Logged| logged.delivery;
        let mut found: Vec<_> = found.by_ref().take(call.len()).collect();
        found.sort_by_key(by_delivery);
        let mut expected = call.clone();
        expected.sort_by_key(by_delivery);
        assert_eq!(found, expected);
    }
}
