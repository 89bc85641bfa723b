//! Events on their way in.

use postrider::{
    domain::{DeliveryId, DeliveryState, Event, Timestamp},
    storage::{AcceptEvents, Error, TenantVersion, View},
};

use super::super::{build::*, fixture::Fixture};

fn keyed(number: u128, time: Timestamp) -> Event {
    Event {
        idempotency_key: Some("order-1".to_owned()),
        ..event(number, time)
    }
}

pub async fn an_accepted_event_is_there_after_a_restart(store: &mut dyn Fixture) {
    let accepted = event(1, NOON);
    let answer = accept(&**store.engine(), vec![routed(accepted.clone(), &[1, 2])]).await;
    let answer = answer.unwrap();
    assert_eq!(answer.len(), 1);
    assert_eq!(answer[0].event_id, accepted.id);
    assert_eq!(answer[0].delivery_count, 2);
    assert!(!answer[0].duplicate);

    store.reopen().await;
    let engine = &**store.engine();
    let read = engine.event(tenant(), accepted.id, View::Full).await;
    assert_eq!(read.unwrap(), accepted);
    let work = engine
        .load_work(sub(2), DeliveryId::new(accepted.id, 1))
        .await;
    let work = work.unwrap().expect("it is due");
    assert_eq!(*work.event, accepted);
    assert_eq!(work.delivery.state, DeliveryState::Pending);
}

pub async fn a_payload_of_any_size_keeps_its_bytes(store: &mut dyn Fixture) {
    let sizes = [0, 1, 1_024, 1_025, 4_096, 4_097, 60 * 1_024, 256 * 1_024];
    let events: Vec<Event> = (0..)
        .zip(sizes)
        .map(|(number, size): (u128, usize)| Event {
            payload: payload((0..=250).cycle().take(size).collect::<Vec<u8>>()),
            ..event(number, NOON)
        })
        .collect();
    let routed = events.iter().map(|event| routed(event.clone(), &[1]));
    accept(&**store.engine(), routed.collect()).await.unwrap();

    store.reopen().await;
    for event in events {
        let read = store.engine().event(tenant(), event.id, View::Full).await;
        assert_eq!(read.unwrap(), event);
        let basic = store.engine().event(tenant(), event.id, View::Basic).await;
        assert!(basic.unwrap().payload.data.is_empty());
    }
}

pub async fn an_event_to_thousands_of_subscriptions_reads_back(store: &mut dyn Fixture) {
    let to: Vec<u128> = (1..=3_000).collect();
    let last = DeliveryId::new(event(1, NOON).id, 2_999);
    deliver(&**store.engine(), event(1, NOON), &to).await;
    subscribe(&**store.engine(), 1).await;

    let delivery = store.engine().delivery(tenant(), last).await.unwrap();
    assert_eq!(delivery.subscription_id, sub(3_000));
}

pub async fn a_repeated_key_is_answered_with_the_first_event(store: &mut dyn Fixture) {
    let first = keyed(1, NOON);
    deliver(&**store.engine(), first.clone(), &[1, 2]).await;
    for _ in 0..2 {
        let repeated = vec![routed(keyed(2, after(5)), &[1])];
        let answer = accept(&**store.engine(), repeated).await.unwrap();
        assert!(answer[0].duplicate);
        assert_eq!(answer[0].event_id, first.id);
        assert_eq!(answer[0].delivery_count, 2);
        let second = store
            .engine()
            .event(tenant(), keyed(2, after(5)).id, View::Basic);
        assert!(matches!(second.await, Err(Error::NotFound(_))));
        store.reopen().await;
    }
}

pub async fn a_repeated_key_within_a_call_is_a_duplicate(store: &mut dyn Fixture) {
    let events = vec![routed(keyed(1, NOON), &[1]), routed(keyed(2, NOON), &[1])];
    let answer = accept(&**store.engine(), events).await.unwrap();
    assert_eq!(answer[1].event_id, answer[0].event_id);
    assert!(answer[1].duplicate);
}

pub async fn a_key_is_remembered_for_seven_days(store: &mut dyn Fixture) {
    deliver(&**store.engine(), keyed(1, NOON), &[]).await;
    let answer = accept(
        &**store.engine(),
        vec![routed(keyed(2, days_after(7)), &[])],
    )
    .await;
    assert!(answer.unwrap()[0].duplicate);
    let later = days_after(7).after(std::time::Duration::from_secs(1));
    let answer = accept(&**store.engine(), vec![routed(keyed(3, later), &[])]).await;
    assert!(!answer.unwrap()[0].duplicate);
}

pub async fn a_key_with_other_content_refuses_the_whole_call(store: &mut dyn Fixture) {
    let first = keyed(1, NOON);
    deliver(&**store.engine(), first.clone(), &[1]).await;
    let other = Event {
        payload: payload("2"),
        ..keyed(3, NOON)
    };
    let innocent = event(2, NOON);
    let events = vec![routed(innocent.clone(), &[1]), routed(other, &[1])];
    let refused = accept(&**store.engine(), events).await.unwrap_err();
    let Error::KeyReused { index, first: used } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((index, used), (1, first.id));
    let read = store.engine().event(tenant(), innocent.id, View::Basic);
    assert!(matches!(read.await, Err(Error::NotFound(_))));
}

pub async fn events_routed_by_an_older_version_are_refused(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let version = engine.tenant_subscriptions(tenant()).await.unwrap().version;
    let call = |routed_at: TenantVersion| AcceptEvents {
        tenant: tenant().clone(),
        routed_at: Some(routed_at),
        events: vec![routed(event(1, NOON), &[])],
    };
    subscribe(engine, 1).await;
    let stale = engine.accept_events(call(version)).await;
    assert!(matches!(stale, Err(Error::StaleSubscriptions)));
    let version = engine.tenant_subscriptions(tenant()).await.unwrap().version;
    engine.accept_events(call(version)).await.unwrap();
}

pub async fn another_tenant_sees_nothing(store: &mut dyn Fixture) {
    let delivery = deliver(&**store.engine(), event(1, NOON), &[1]).await;
    let other = "other".parse().unwrap();
    let engine = &**store.engine();
    let read = engine.event(&other, delivery.event_id(), View::Basic).await;
    assert!(matches!(read, Err(Error::NotFound(_))));
    let read = engine.delivery(&other, delivery).await;
    assert!(matches!(read, Err(Error::NotFound(_))));
}
