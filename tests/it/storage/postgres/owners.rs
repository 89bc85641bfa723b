//! Several processes on one store.

use crate::support::root_keys;
use std::{sync::Arc, time::Duration};

use postrider::{
    bootstrap::SystemRandom,
    control::{AccessSettings, Control, Limits, QuotaSettings},
    domain::{Guard, KeyHasher, State, StateCode, Subscription, SubscriptionId},
    resolve::{self, Resolver},
    storage::{AcceptEvents, AttemptRecord, Engine, Error, Routed},
};

use super::{
    super::{build::*, fixture::Fixture},
    InPostgres, in_shard, owns,
};
use crate::support::within;

/// A subscription in this shard.
fn subscription_in(shard: u8) -> Subscription {
    Subscription {
        id: in_shard(shard),
        ..subscription(1)
    }
}

/// A shard that the first of two engines owns and one that the second does,
/// once each has its share.
async fn shared(one: &dyn Engine, other: &dyn Engine) -> (u8, u8) {
    let count = |engine: &dyn Engine| {
        let owned = (0..=255).filter(|shard| engine.owns(in_shard(*shard)));
        owned.count()
    };
    let (mut ones, mut others) = (one.ownership(), other.ownership());
    within("each to have its share", async {
        while (count(one), count(other)) != (128, 128) {
            tokio::select! {
                changed = ones.changed() => changed.unwrap(),
                changed = others.changed() => changed.unwrap(),
            }
        }
    })
    .await;
    let of = |engine: &dyn Engine| (0..=255).find(|shard| engine.owns(in_shard(*shard)));
    (of(one).unwrap(), of(other).unwrap())
}

async fn publish(engine: &dyn Engine, number: u128, to: SubscriptionId) -> AttemptRecord {
    let event = event(number, NOON);
    let routed = Routed {
        subscriptions: vec![to],
        ..routed(event, &[])
    };
    let id = routed.event.id;
    accept(engine, vec![routed]).await.unwrap();
    let mut record = succeeded(postrider::domain::DeliveryId::new(id, 0), 1);
    record.attempt.subscription_id = to;
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_has_half_of_the_queues_and_one_that_leaves_gives_them_back() {
    let store = InPostgres::new().await;
    let one = &**store.engine();
    let other = store.join().await;
    shared(one, &*other).await;
    other.close().await;
    owns(one, 0..=255).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_records_for_a_queue_of_another_is_refused() {
    let store = InPostgres::new().await;
    let one = &**store.engine();
    let other = store.join().await;
    let (mine, _) = shared(one, &*other).await;
    let record = publish(one, 1, in_shard(mine)).await;

    assert!(!other.attempt_started(in_shard(mine), record.attempt.delivery_id));
    let refused = other.record_attempts(vec![record.clone()]).await;
    assert!(matches!(refused, Err(Error::LeaseLost)));
    let id = record.attempt.delivery_id;
    assert_eq!(one.delivery(tenant(), id).await.unwrap().attempt_count, 0);
    assert!(one.attempt_started(in_shard(mine), id));
    one.record_attempts(vec![record]).await.unwrap();
    assert_eq!(one.delivery(tenant(), id).await.unwrap().attempt_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_removed_meanwhile_records_nothing() {
    let store = InPostgres::new().await;
    let one = &**store.engine();
    let record = publish(one, 1, in_shard(7)).await;
    assert!(one.attempt_started(in_shard(7), record.attempt.delivery_id));
    // As others do once its lease has ended.
    let client = crate::support::cluster::connect(&store.text_url).await;
    let removed = client.execute("DELETE FROM postrider.member", &[]).await;
    assert_eq!(removed.unwrap(), 1);

    let id = record.attempt.delivery_id;
    let refused = one.record_attempts(vec![record]).await;
    assert!(matches!(refused, Err(Error::LeaseLost)), "{refused:?}");
    // It joins anew, and the delivery is still due.
    owns(one, 0..=255).await;
    assert!(one.load_work(in_shard(7), id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_published_after_a_subscription_was_acknowledged_are_matched_by_it_anywhere() {
    let store = InPostgres::new().await;
    let one = &**store.engine();
    let other = store.join().await;
    let call = |routed_at| AcceptEvents {
        tenant: tenant().clone(),
        routed_at: Some(routed_at),
        events: vec![routed(event(1, NOON), &[])],
    };
    let known = other.tenant_subscriptions(tenant()).await.unwrap();
    one.create_subscription(subscription_in(1), None, None)
        .await
        .unwrap();

    let refused = other.accept_events(call(known.version)).await;
    assert!(matches!(refused, Err(Error::StaleSubscriptions)));
    let known = other.tenant_subscriptions(tenant()).await.unwrap();
    assert_eq!(known.subscriptions, [Arc::new(subscription_in(1))]);
    other.accept_events(call(known.version)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_goes_through_however_often_subscriptions_change_elsewhere() {
    let store = InPostgres::new().await;
    let other = store.join().await;
    let elsewhere = Control::new(
        Arc::clone(&other),
        store.clock.clone(),
        Arc::new(SystemRandom),
        Resolver::new(Guard::default(), &resolve::Settings::default()).unwrap(),
        Limits::default(),
        AccessSettings {
            keys_needed: false,
            hasher: KeyHasher::new(&root_keys()),
            admin: None,
            certificates: Vec::new(),
        },
        QuotaSettings::default(),
    );
    let mut last = subscription_in(1);
    other
        .create_subscription(last.clone(), None, None)
        .await
        .unwrap();
    let changing = async {
        loop {
            let next = last.with_state(State::Active, StateCode::Requested, String::new(), NOON);
            let one = store.engine();
            one.replace_subscription(next.clone(), last.version)
                .await
                .unwrap();
            last = next;
        }
    };
    let publishing = async {
        for _ in 0..200 {
            let published = elsewhere.publish(tenant(), new_event()).await;
            assert_eq!(published.unwrap().delivery_count, 1);
        }
    };
    within("all to be published", async {
        tokio::select! {
            () = changing => {}
            () = publishing => {}
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_subscription_is_told_to_every_process() {
    let store = InPostgres::new().await;
    let one = &**store.engine();
    let other = store.join().await;
    let mut changes = other.subscription_changes();
    let mut next = async || {
        let change = within("the change to be told", changes.recv()).await;
        change.unwrap()
    };
    one.create_subscription(subscription_in(1), None, None)
        .await
        .unwrap();
    let told = next().await;
    assert_eq!(told.now.as_deref(), Some(&subscription_in(1)));
    let deleted = one.delete_subscription(tenant(), in_shard(1), None, NOON);
    deleted.await.unwrap();
    let told = next().await;
    assert_eq!((told.id, told.now), (in_shard(1), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_accepted_by_one_process_wakes_the_owner_on_another() {
    let store = InPostgres::new().await;
    let one = &**store.engine();
    let other = store.join().await;
    let (_, theirs) = shared(one, &*other).await;
    let mut hints = other.hints();
    let record = publish(one, 1, in_shard(theirs)).await;
    let place = within("the owner to be woken", async {
        loop {
            let hint = hints.recv().await.unwrap();
            let woken = hint.woken.iter();
            let mut woken = woken.filter(|due| due.subscription_id == in_shard(theirs));
            if let Some(due) = woken.next() {
                return due.first;
            }
        }
    });
    let place = place.await;
    assert_eq!(place.delivery_id, record.attempt.delivery_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_left_behind_when_it_died_goes_to_another() {
    let store = InPostgres::new().await;
    let one = &**store.engine();
    let other = store.join().await;
    let (_, theirs) = shared(one, &*other).await;
    let record = publish(one, 1, in_shard(theirs)).await;
    let id = record.attempt.delivery_id;
    assert!(other.attempt_started(in_shard(theirs), id));
    let began = tokio::time::Instant::now();
    drop(other);

    owns(one, 0..=255).await;
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "its lease lasts"
    );
    let page = one.due(in_shard(theirs), None, 10).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    one.record_attempts(vec![record]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_hands_over_keeps_only_what_is_under_way() {
    let store = InPostgres::new().await;
    let one = &**store.engine();
    let other = store.join().await;
    shared(one, &*other).await;
    // The last is given first when another process joins.
    let busy = in_shard(255);
    assert!(other.owns(busy));
    let record = publish(&*other, 1, busy).await;
    assert!(other.attempt_started(busy, record.attempt.delivery_id));

    other.hand_over();
    assert!(!other.owns(busy));
    owns(one, 0..=254).await;
    assert!(!one.owns(busy));
    other.record_attempts(vec![record]).await.unwrap();
    owns(one, 255..=255).await;
}
