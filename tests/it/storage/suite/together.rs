//! Many callers at once.

use std::{collections::BTreeSet, sync::Arc};

use tokio::task::JoinSet;

use super::super::{build::*, fixture::Fixture, wait::logged};
use postrider::{
    domain::{DeliveryId, DeliveryState},
    storage::{CommitNumber, Engine, LogPosition},
};

/// Together fewer events than hints are kept.
const CALLERS: u128 = 20;
const EACH: u128 = 10;

pub async fn many_callers_lose_nothing_and_hints_come_in_order(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 3).await;
    let mut hints = store.engine().hints();
    let told = tokio::spawn(async move {
        let mut last = CommitNumber::default();
        let mut told = BTreeSet::new();
        while told.len() < usize::try_from(CALLERS * EACH).unwrap() {
            let hint = hints.recv().await.expect("no more hints than are kept");
            assert!(hint.commit > last);
            last = hint.commit;
            told.extend(hint.accepted.iter().map(|fresh| fresh.event_id));
        }
        told
    });
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let engine = Arc::clone(store.engine());
        callers.spawn(async move {
            let mut done = BTreeSet::new();
            for number in 0..EACH {
                let to = number % 3 + 1;
                let day = u64::try_from(number % 2).unwrap();
                let event = event(caller * EACH + number, days_after(day));
                let id = deliver(&*engine, event, &[to]).await;
                let page = engine.due(sub(to), None, 10_000).await.unwrap();
                assert!(page.entries.iter().any(|place| place.delivery_id == id));
                let record = succeeded(id, to);
                engine.record_attempts(vec![record]).await.unwrap();
                done.insert(id);
            }
            done
        });
    }
    let done: BTreeSet<DeliveryId> = callers.join_all().await.into_iter().flatten().collect();
    let events: BTreeSet<_> = done.iter().map(|id| id.event_id()).collect();
    assert_eq!(told.await.unwrap(), events);

    store.reopen().await;
    let engine = &**store.engine();
    assert_eq!(engine.due_subscriptions(None, 10).await.unwrap(), []);
    let log = logged(engine, LogPosition::default(), done.len()).await;
    assert_eq!(log.len(), done.len());
    let log = log.iter().map(|(_, attempt)| attempt.delivery_id);
    assert_eq!(log.collect::<BTreeSet<_>>(), done);
    for id in done {
        let delivery = engine.delivery(tenant(), id).await.unwrap();
        assert_eq!(delivery.state, DeliveryState::Succeeded);
    }
}

/// What is settled between two reads of one answer, its key and its row, must
/// not hide what comes behind it.
pub async fn something_is_ahead_while_those_before_it_are_settled(store: &mut dyn Fixture) {
    const SETTLED: u128 = 300;
    let engine = store.engine();
    subscribe(&**engine, 1).await;
    let mut ids = Vec::new();
    for number in 1..=SETTLED + 2 {
        ids.push(deliver(&**engine, ordered(number, NOON, "a"), &[1]).await);
    }
    let last = ids.pop().unwrap();
    let open = ids.pop().unwrap();
    let asks = || {
        let engine: Arc<dyn Engine> = Arc::clone(engine);
        tokio::spawn(async move {
            loop {
                let ahead = engine.ahead_of(sub(1), "a", last).await.unwrap();
                let ahead = ahead.expect("the delivery before it is open");
                if ahead.delivery_id == open {
                    break;
                }
            }
        })
    };
    let asking = [asks(), asks()];
    for id in ids {
        let record = succeeded(id, 1);
        engine.record_attempts(vec![record]).await.unwrap();
    }
    for asks in asking {
        asks.await.unwrap();
    }
}
