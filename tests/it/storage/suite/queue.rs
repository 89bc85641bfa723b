//! What is due, and the hints that tell of it.

use postrider::{
    domain::{DeliveryId, DeliveryState, Event, Timestamp, Trigger},
    storage::{DeliveryChange, DueKey, Engine, Error, Rescheduled},
};

use super::{
    super::{build::*, fixture::Fixture, wait::told},
    transfer::copied,
};

async fn due(engine: &dyn Engine, number: u128) -> Vec<DueKey> {
    let page = engine.due(sub(number), None, 100).await.unwrap();
    assert!(page.complete);
    page.entries
}

/// What the first subscription's delivery waits for.
async fn ahead(engine: &dyn Engine, ordering_key: &str, id: DeliveryId) -> Option<DueKey> {
    engine.ahead_of(sub(1), ordering_key, id).await.unwrap()
}

fn place(due: Timestamp, delivery_id: DeliveryId) -> DueKey {
    DueKey { due, delivery_id }
}

pub async fn a_queue_is_ordered_by_due_time_over_the_days(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let delayed = Event {
        deliver_after: Some(days_after(2)),
        ..event(1, NOON)
    };
    let last = deliver(engine, delayed, &[1]).await;
    let first = deliver(engine, event(2, NOON), &[1]).await;
    let middle = deliver(engine, event(3, days_after(1)), &[1]).await;
    let expected = [
        place(NOON, first),
        place(days_after(1), middle),
        place(days_after(2), last),
    ];
    assert_eq!(due(engine, 1).await, expected);

    store.reopen().await;
    let engine = &**store.engine();
    let page = engine.due(sub(1), None, 2).await.unwrap();
    assert_eq!(page.entries, expected[..2]);
    assert!(!page.complete);
    let page = engine.due(sub(1), Some(expected[1]), 2).await.unwrap();
    assert_eq!(page.entries, expected[2..]);
    assert!(page.complete);
}

pub async fn every_subscription_with_work_is_found_once(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let old = deliver(engine, event(1, NOON), &[2, 3]).await;
    deliver(engine, event(2, days_after(1)), &[1, 2]).await;

    let found = engine.due_subscriptions(None, 10).await.unwrap();
    let ids: Vec<_> = found.iter().map(|due| due.subscription_id).collect();
    assert_eq!(ids, [sub(1), sub(2), sub(3)]);
    assert_eq!(found[1].first, place(NOON, old));
    let found = engine.due_subscriptions(Some(sub(1)), 1).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].subscription_id, sub(2));
}

pub async fn a_hint_carries_the_event_before_the_write_is_answered(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let mut hints = engine.hints();
    let small = event(1, NOON);
    let large = Event {
        payload: payload(vec![b'1'; 16 * 1_024 + 1]),
        ..event(2, NOON)
    };
    let events = vec![routed(small.clone(), &[1, 2]), routed(large, &[1])];
    accept(engine, events).await.unwrap();

    let hint = told(&mut hints);
    assert_eq!(hint.accepted.len(), 2);
    assert_eq!(hint.accepted[0].event.as_deref(), Some(&small));
    assert_eq!(hint.accepted[0].due, NOON);
    let deliveries: Vec<_> = small.id.deliveries(&[sub(1), sub(2)]).collect();
    assert_eq!(hint.accepted[0].deliveries, deliveries);
    assert_eq!(hint.accepted[1].event, None);
    let page = engine.due(sub(1), None, 10).await.unwrap();
    assert!(page.as_of >= hint.commit);
}

pub async fn a_retry_by_hand_is_due_at_once_and_told(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let id = deliver(engine, event(1, NOON), &[1]).await;
    engine
        .record_attempts(vec![succeeded(id, 1)])
        .await
        .unwrap();
    assert_eq!(due(engine, 1).await, []);

    let mut hints = engine.hints();
    let retry = engine.change_delivery(tenant(), id, DeliveryChange::Retry, after(9));
    let delivery = retry.await.unwrap();
    assert_eq!(delivery.state, DeliveryState::Pending);
    assert_eq!(delivery.due, Some(after(9)));
    assert_eq!(due(engine, 1).await, [place(after(9), id)]);
    let expected = Rescheduled {
        delivery_id: id,
        subscription_id: sub(1),
        trigger: Trigger::Manual,
        due: Some(after(9)),
    };
    assert_eq!(told(&mut hints).rescheduled, [expected]);
}

pub async fn a_cancelled_delivery_leaves_the_queue_and_cannot_be_cancelled_again(
    store: &mut dyn Fixture,
) {
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let id = deliver(engine, event(1, NOON), &[1]).await;
    let cancel = || engine.change_delivery(tenant(), id, DeliveryChange::Cancel, after(1));
    assert_eq!(cancel().await.unwrap().state, DeliveryState::Cancelled);
    assert_eq!(due(engine, 1).await, []);
    assert!(engine.load_work(sub(1), id).await.unwrap().is_none());
    assert!(matches!(cancel().await, Err(Error::NotChangeable(_))));
}

pub async fn pending_deliveries_are_cancelled_a_bounded_number_at_a_time(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 2).await;
    let mut ids = Vec::new();
    for number in 1..=5 {
        let time = days_after(u64::try_from(number % 2).unwrap());
        ids.push(deliver(engine, event(number, time), &[1, 2]).await);
    }
    for expected in [2, 2, 1, 0] {
        let cancelled = engine.cancel_pending(sub(1), 2, days_after(3)).await;
        assert_eq!(cancelled.unwrap(), expected);
    }
    assert_eq!(due(engine, 1).await, []);
    assert_eq!(due(engine, 2).await.len(), 5);
    for id in ids {
        let delivery = engine.delivery(tenant(), id).await.unwrap();
        assert_eq!(delivery.state, DeliveryState::Cancelled);
    }
}

pub async fn pending_deliveries_of_a_tenant_are_counted_up_to_a_bound(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 2).await;
    for number in 1..=3 {
        let time = days_after(u64::try_from(number % 2).unwrap());
        deliver(engine, event(number, time), &[1, 2]).await;
    }
    let done = deliver(engine, event(4, NOON), &[1]).await;
    let records = vec![succeeded(done, 1)];
    engine.record_attempts(records).await.unwrap();
    for (most, expected) in [(1, 1), (5, 5), (6, 6), (100, 6)] {
        assert_eq!(engine.pending(tenant(), most).await.unwrap(), expected);
    }
    let other = "other".parse().unwrap();
    assert_eq!(engine.pending(&other, 9).await.unwrap(), 0);
}

pub async fn the_earliest_unsettled_delivery_of_the_same_key_is_ahead(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 2).await;
    deliver(engine, ordered(1, NOON, "a"), &[2]).await;
    deliver(engine, ordered(2, NOON, "ab"), &[1]).await;
    deliver(engine, event(3, NOON), &[1]).await;
    let first = deliver(engine, ordered(4, NOON, "a"), &[1]).await;
    let second = deliver(engine, ordered(5, NOON, "a"), &[1]).await;
    let third = deliver(engine, ordered(6, days_after(1), "a"), &[1]).await;
    let other = deliver(engine, ordered(7, days_after(1), "b"), &[1]).await;
    for _ in 0..2 {
        let engine = &**store.engine();
        assert_eq!(ahead(engine, "a", first).await, None);
        for id in [second, third] {
            assert_eq!(ahead(engine, "a", id).await, Some(place(NOON, first)));
        }
        assert_eq!(ahead(engine, "b", other).await, None);
        store.reopen().await;
    }
}

pub async fn what_is_settled_is_ahead_again_once_it_is_retried(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let first = deliver(engine, ordered(1, NOON, "a"), &[1]).await;
    let second = deliver(engine, ordered(2, NOON, "a"), &[1]).await;
    let third = deliver(engine, ordered(3, days_after(1), "a"), &[1]).await;
    let record = |attempt| engine.record_attempts(vec![attempt]);
    record(failed(first, 1, after(60))).await.unwrap();
    let retrying = Some(place(after(60), first));
    assert_eq!(ahead(engine, "a", third).await, retrying);

    let change = |id, change| engine.change_delivery(tenant(), id, change, after(90));
    change(first, DeliveryChange::Cancel).await.unwrap();
    assert_eq!(ahead(engine, "a", third).await, Some(place(NOON, second)));
    record(succeeded(second, 1)).await.unwrap();
    assert_eq!(ahead(engine, "a", third).await, None);
    change(first, DeliveryChange::Retry).await.unwrap();
    for _ in 0..2 {
        let engine = &**store.engine();
        let retried = Some(place(after(90), first));
        assert_eq!(ahead(engine, "a", third).await, retried);
        store.reopen().await;
    }
}

pub async fn a_copy_keeps_what_is_ahead(store: &mut dyn Fixture) {
    let source = store.another().await;
    subscribe(&*source, 1).await;
    let settled = deliver(&*source, ordered(1, NOON, "a"), &[1]).await;
    let first = deliver(&*source, ordered(2, NOON, "a"), &[1]).await;
    let second = deliver(&*source, ordered(3, days_after(1), "a"), &[1]).await;
    let record = source.record_attempts(vec![succeeded(settled, 1)]);
    record.await.unwrap();
    copied(&*source, &**store.engine()).await.unwrap();
    let engine = &**store.engine();
    assert_eq!(ahead(engine, "a", second).await, Some(place(NOON, first)));
    assert_eq!(ahead(engine, "a", first).await, None);
}
