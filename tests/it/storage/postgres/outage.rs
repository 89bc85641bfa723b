//! The database goes, and comes back.

use std::{sync::Arc, time::Duration};

use postrider::{
    domain::DeliveryId,
    storage::{Error, Health, LogPosition, View},
};
use tokio::time::Instant;

use super::{
    super::{build::*, fixture::Fixture, wait::logged},
    InPostgres, owns,
};
use crate::support::{Cluster, Fsync, eventually, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_dies_refuses_soon_and_is_used_again_once_it_is_back() {
    let cluster = Cluster::start(Fsync::On);
    let store = InPostgres::within(&cluster).await;
    let engine = store.engine();
    subscribe(&**engine, 1).await;
    let mut accepted = Vec::new();
    for number in 1..=20 {
        accepted.push(deliver(&**engine, event(number, NOON), &[1]).await);
    }
    assert!(engine.attempt_started(sub(1), accepted[0]));
    cluster.crash();

    // An attempt that ended meanwhile is kept until it can be recorded.
    let recording = tokio::spawn({
        let (engine, record) = (Arc::clone(engine), succeeded(accepted[0], 1));
        async move { engine.record_attempts(vec![record]).await }
    });
    let began = Instant::now();
    let refused = accept(&**engine, vec![routed(event(99, NOON), &[1])]).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(1), "{began:?}");
    let mut health = engine.health();
    let turned = health.wait_for(|health| *health == Health::Unavailable);
    drop(within("readiness to fall", turned).await.unwrap());
    owns_nothing(&store).await;

    cluster.start_again();
    let began = Instant::now();
    let turned = health.wait_for(|health| *health == Health::Writable);
    drop(within("readiness to return", turned).await.unwrap());
    eventually("events to be accepted again", async || {
        let again = accept(&**engine, vec![routed(event(100, NOON), &[1])]).await;
        again.ok()
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(2), "{began:?}");
    within("the attempt to be recorded", recording)
        .await
        .unwrap()
        .unwrap();
    owns(&**engine, 0..=255).await;
    for id in &accepted {
        let event = engine.event(tenant(), id.event_id(), View::Full).await;
        assert_eq!(event.unwrap().id, id.event_id());
    }
    let log = logged(&**engine, LogPosition::default(), 1).await;
    let log: Vec<DeliveryId> = log.iter().map(|(_, log)| log.delivery_id).collect();
    assert_eq!(log, accepted[..1]);
}

/// Waits until the lease cannot be relied on any more.
async fn owns_nothing(store: &InPostgres) {
    let mut ownership = store.engine().ownership();
    within("the lease to lapse", async {
        loop {
            ownership.mark_unchanged();
            if !store.engine().owns(sub(1)) {
                return;
            }
            ownership.changed().await.unwrap();
        }
    })
    .await;
}
