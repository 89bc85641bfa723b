//! Lists and their pages, which open few days and look at few rows.

use crate::{
    domain::{Delivery, DeliveryFilter, DeliveryId, Event, TimeRange},
    storage::{Engine, EventFilter, Page, PageRequest, View},
};

use super::support::*;

async fn deliveries(engine: &dyn Engine, filter: &DeliveryFilter, size: usize) -> Vec<DeliveryId> {
    let mut request = page(size);
    let mut seen = Vec::new();
    loop {
        let page: Page<Delivery> = engine
            .list_deliveries(tenant(), filter, request)
            .await
            .unwrap();
        seen.extend(page.items.iter().map(|delivery| delivery.id));
        let Some(cursor) = page.next else {
            return seen;
        };
        request = PageRequest {
            size,
            cursor: Some(cursor),
        };
    }
}

#[tokio::test]
async fn a_page_that_looked_at_enough_is_short_and_not_the_last() {
    let store = Fixture::new().await;
    let engine = &*store.engine;
    let rare = Event {
        event_type: "rare".parse().unwrap(),
        ..event(0, NOON)
    };
    deliver(engine, rare.clone(), &[]).await;
    for chunk in 0..5_u128 {
        let events = (1..=1_000).map(|n| routed(event(chunk * 1_000 + n, after(1)), &[]));
        accept(engine, events.collect()).await.unwrap();
    }
    let filter = EventFilter {
        types: vec!["rare".parse().unwrap()],
        accepted: TimeRange::ALL,
    };
    let first = engine.list_events(tenant(), &filter, View::Full, page(10));
    let first = first.await.unwrap();
    assert!(first.items.is_empty());
    let request = PageRequest {
        size: 10,
        cursor: first.next,
    };
    assert!(request.cursor.is_some());
    let second = engine.list_events(tenant(), &filter, View::Full, request);
    assert_eq!(second.await.unwrap().items, [rare]);
    // Events without deliveries are looked at on the way to deliveries, too.
    let all = DeliveryFilter::default();
    let empty = engine.list_deliveries(tenant(), &all, page(10)).await;
    assert!(empty.unwrap().next.is_some());
    assert_eq!(deliveries(engine, &all, 10).await, []);
}

#[tokio::test]
async fn a_list_over_many_days_opens_few_of_them_for_a_page() {
    let mut store = Fixture::new().await;
    let mut expected = Vec::new();
    for day in (0..15).rev() {
        let event = event(1, days_after(day));
        expected.push(DeliveryId::new(event.id, 0));
    }
    for delivery in expected.iter().rev() {
        let event = event(1, delivery.time());
        deliver(&*store.engine, event, &[1]).await;
        let record = succeeded(*delivery, 1);
        store.engine.record_attempts(vec![record]).await.unwrap();
    }
    store.reopen().await;
    let engine = &*store.engine;
    let all = DeliveryFilter::default();
    let other = "other".parse().unwrap();
    let mut request = page(10);
    let mut pages = 0;
    loop {
        let page = engine.list_deliveries(&other, &all, request).await.unwrap();
        assert_eq!(page.items, []);
        pages += 1;
        let Some(cursor) = page.next else {
            break;
        };
        request = PageRequest {
            size: 10,
            cursor: Some(cursor),
        };
    }
    assert_eq!(pages, 4);
    assert_eq!(deliveries(engine, &all, 10).await, expected);
    let of_subscription = DeliveryFilter {
        subscription_id: Some(sub(1)),
        ..all
    };
    let foreign = engine.list_deliveries(&other, &of_subscription, page(10));
    let foreign = foreign.await.unwrap();
    assert_eq!((foreign.items.len(), foreign.next), (0, None));
    assert_eq!(deliveries(engine, &of_subscription, 10).await, expected);
}
