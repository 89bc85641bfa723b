//! Days that expired, and what readers learn of it.

use std::time::Duration;

use postrider::{
    domain::{Event, EventId},
    storage::{
        AcceptEvents, DeliveryChange, Engine, Error, LogPosition, Removed, RemovedEvents, Resource,
        View,
    },
};

use super::super::{
    build::*,
    fixture::Fixture,
    wait::{log_end_from, logged},
};

/// Accepts an event on a day and delivers it.
async fn delivered(engine: &dyn Engine, number: u128, day: u64) -> EventId {
    let delivery = deliver(engine, event(number, days_after(day)), &[1]).await;
    let recorded = engine.record_attempts(vec![succeeded(delivery, 1)]).await;
    recorded.unwrap();
    delivery.event_id()
}

pub async fn an_expired_day_goes_and_the_rest_stays(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    let old = delivered(&**store.engine(), 1, 0).await;
    let kept = delivered(&**store.engine(), 2, 1).await;

    let removed = store.engine().remove_expired(days_after(1)).await.unwrap();
    assert_eq!((removed.days, removed.kept), (1, 0));
    assert!(removed.bytes > 0);
    for _ in 0..2 {
        let engine = &**store.engine();
        let gone = engine.event(tenant(), old, View::Full).await;
        assert!(matches!(gone, Err(Error::NotFound(Resource::Event(id))) if id == old));
        engine.event(tenant(), kept, View::Full).await.unwrap();
        let again = engine.remove_expired(days_after(1)).await.unwrap();
        assert_eq!(again, Removed::default());
        store.reopen().await;
    }
    // The day can come again.
    delivered(&**store.engine(), 3, 0).await;
}

pub async fn a_day_with_a_pending_delivery_is_kept_until_it_is_settled(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    let pending = deliver(&**store.engine(), event(1, NOON), &[1]).await;
    delivered(&**store.engine(), 2, 1).await;
    delivered(&**store.engine(), 3, 5).await;
    store.reopen().await;

    let engine = &**store.engine();
    let removed = engine.remove_expired(days_after(4)).await.unwrap();
    assert_eq!((removed.days, removed.kept), (1, 1));
    let work = engine.load_work(sub(1), pending).await.unwrap();
    assert!(work.is_some());

    let cancel = engine.change_delivery(tenant(), pending, DeliveryChange::Cancel, after(9));
    cancel.await.unwrap();
    let removed = engine.remove_expired(days_after(4)).await.unwrap();
    assert_eq!((removed.days, removed.kept), (1, 0));
}

pub async fn what_expired_of_a_tenant_goes_but_what_is_due(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    let engine = &**store.engine();
    let keyed = Event {
        payload: payload(vec![b'1'; 20_000]),
        idempotency_key: Some("key-1".to_owned()),
        ..event(1, NOON)
    };
    let old = deliver(engine, keyed, &[1]).await;
    engine
        .record_attempts(vec![succeeded(old, 1)])
        .await
        .unwrap();
    let pending = deliver(engine, event(2, NOON), &[1]).await;
    let young = delivered(engine, 3, 1).await;
    let other = "other".parse().unwrap();
    let foreign = Event {
        tenant: other,
        ..event(4, NOON)
    };
    let call = AcceptEvents {
        tenant: foreign.tenant.clone(),
        routed_at: None,
        events: vec![routed(foreign.clone(), &[])],
    };
    engine.accept_events(call).await.unwrap();

    let removed = engine.remove_of_tenant(tenant(), days_after(1)).await;
    let expected = RemovedEvents { events: 1, kept: 1 };
    assert_eq!(removed.unwrap(), expected);
    for _ in 0..2 {
        let engine = &**store.engine();
        let gone = engine.event(tenant(), old.event_id(), View::Full).await;
        assert!(matches!(gone, Err(Error::NotFound(Resource::Event(_)))));
        let gone = engine.delivery(tenant(), old).await;
        assert!(matches!(gone, Err(Error::NotFound(Resource::Delivery(_)))));
        let read = engine.event(&foreign.tenant, foreign.id, View::Full).await;
        assert_eq!(read.unwrap(), foreign);
        engine.event(tenant(), young, View::Full).await.unwrap();
        assert!(engine.load_work(sub(1), pending).await.unwrap().is_some());
        let log = logged(engine, LogPosition::default(), 1).await;
        let of: Vec<_> = log
            .iter()
            .map(|(_, it)| it.delivery_id.event_id())
            .collect();
        assert_eq!(of, [young]);
        let totals = engine.counts().await.unwrap().totals;
        let left = (totals.events, totals.deliveries, totals.attempts);
        assert_eq!((left, totals.idempotency_keys), ((3, 2, 1), 0));
        store.reopen().await;
    }
    let engine = &**store.engine();
    let cancel = engine.change_delivery(tenant(), pending, DeliveryChange::Cancel, after(9));
    cancel.await.unwrap();
    let removed = engine.remove_of_tenant(tenant(), days_after(1)).await;
    let expected = RemovedEvents { events: 1, kept: 0 };
    assert_eq!(removed.unwrap(), expected);
}

pub async fn a_reader_of_the_log_is_told_of_the_attempts_it_missed(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    delivered(&**store.engine(), 1, 0).await;
    delivered(&**store.engine(), 2, 0).await;
    let log = logged(&**store.engine(), LogPosition::default(), 2).await;
    let read = log[1].0;
    // Nothing is left afterwards, not even a day to compare with.
    store.engine().remove_expired(days_after(9)).await.unwrap();
    for _ in 0..2 {
        let engine = &**store.engine();
        let slice = engine.read_log(LogPosition::default(), 9).await.unwrap();
        let midnight = NOON.after(Duration::from_hours(14));
        assert_eq!(slice.removed_before, Some(midnight));
        let slice = engine.read_log(read, 9).await.unwrap();
        assert_eq!(slice.removed_before, None);
        assert_eq!(log_end_from(engine, read).await, read);
        store.reopen().await;
    }
    // Positions go on after what is gone.
    delivered(&**store.engine(), 3, 0).await;
    let next = LogPosition(read.0 + 1);
    assert!(log_end_from(&**store.engine(), next).await > read);
}
