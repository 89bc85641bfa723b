//! The store as a whole: its end, and what is left of it.

use postrider::{
    domain::DeliveryId,
    storage::{Error, Health, View},
};

use super::super::{build::*, fixture::Fixture};

pub async fn a_closed_store_takes_nothing(store: &mut dyn Fixture) {
    let engine = store.engine();
    deliver(&**engine, event(1, NOON), &[1]).await;
    engine.close().await;
    engine.close().await;
    let refused = accept(&**engine, vec![routed(event(2, NOON), &[1])]).await;
    assert!(matches!(refused, Err(Error::Closed(_))));
    let refused = engine.due(sub(1), None, 1).await;
    assert!(matches!(refused, Err(Error::Closed(_))));
    assert_eq!(*engine.health().borrow(), Health::Writable);
}

pub async fn what_was_acknowledged_survives_a_crash(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 2).await;
    let mut ids = Vec::new();
    for number in 1..=10 {
        let day = u64::try_from(number % 3).unwrap();
        let event = event(number, days_after(day));
        ids.push(deliver(&**store.engine(), event, &[1, 2]).await);
        if number % 2 == 0 {
            let record = succeeded(ids[ids.len() - 1], 1);
            store.engine().record_attempts(vec![record]).await.unwrap();
        }
        if number % 5 == 0 {
            store.crash().await;
        }
    }
    let engine = store.engine();
    for (number, id) in (1_u128..).zip(ids) {
        let read = engine.event(tenant(), id.event_id(), View::Full).await;
        assert_eq!(read.unwrap().id, id.event_id());
        let done = engine.delivery(tenant(), id).await.unwrap();
        assert_eq!(done.state.is_settled(), number % 2 == 0, "{number}");
        let other = DeliveryId::new(id.event_id(), 1);
        let waiting = engine.load_work(sub(2), other).await.unwrap();
        assert!(waiting.is_some());
    }
    assert_eq!(
        engine
            .tenant_subscriptions(tenant())
            .await
            .unwrap()
            .subscriptions
            .len(),
        2
    );
}
