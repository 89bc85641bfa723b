//! Subscriptions.

use std::{collections::BTreeMap, time::Duration};

use postrider::{
    domain::{
        CustomHeaders, DeliveryState, EventPatterns, Labels, RetryPolicy, Schedule, Secret, State,
        StateCode, Subscription, Version,
    },
    storage::{Created, Error},
};

use super::super::{build::*, fixture::Fixture};

/// A subscription with everything that can be set, longer than a piece.
fn elaborate() -> Subscription {
    let mut subscription = subscription(7);
    let patterns = (0..100).map(|n| format!("{}{n}", "x".repeat(100)).parse().unwrap());
    let spec = &mut subscription.spec;
    spec.events = EventPatterns::new(patterns.collect()).unwrap();
    spec.headers = CustomHeaders::new([("x-own".to_owned(), "1".to_owned())]).unwrap();
    let labels = BTreeMap::from([("team".to_owned(), "orders".to_owned())]);
    spec.labels = Labels::new(labels).unwrap();
    let schedule = Schedule::Exponential {
        first: Duration::from_millis(1_500),
        factor: 1.5,
        cap: Duration::from_mins(1),
        attempts: 9,
    };
    let max_age = Some(Duration::from_hours(1));
    spec.retry_policy = RetryPolicy::new(schedule, Some(0.25), max_age).unwrap();
    let secrets =
        subscription
            .secrets
            .rotate(Secret::generate([9; 32]), Duration::from_mins(1), after(1));
    subscription
        .with_secrets(secrets.unwrap(), after(1))
        .with_state(
            State::Disabled,
            StateCode::Gone,
            "gone".to_owned(),
            after(2),
        )
}

pub async fn a_subscription_reads_back_after_a_restart(store: &mut dyn Fixture) {
    let created = store
        .engine()
        .create_subscription(elaborate(), None, None)
        .await;
    assert!(matches!(created, Ok(Created::New)));
    store.reopen().await;
    let engine = &**store.engine();
    let read = engine.subscription(tenant(), sub(7)).await.unwrap();
    assert_eq!(*read, elaborate());
    let found = engine.find_subscription(sub(7)).await.unwrap();
    assert_eq!(found, Some(read));
    let other = "other".parse().unwrap();
    let hidden = engine.subscription(&other, sub(7)).await;
    assert!(matches!(hidden, Err(Error::NotFound(_))));
}

pub async fn a_repeated_request_returns_what_it_created_for_seven_days(store: &mut dyn Fixture) {
    let request = || Some("request-1".to_owned());
    let first = store
        .engine()
        .create_subscription(subscription(1), request(), None);
    assert!(matches!(first.await, Ok(Created::New)));
    let changed = subscription(1).with_spec(elaborate().spec, after(1));
    let replaced = store
        .engine()
        .replace_subscription(changed, Version(1))
        .await;
    replaced.unwrap();
    store.reopen().await;

    let again = store
        .engine()
        .create_subscription(subscription(2), request(), None);
    let Ok(Created::Repeated(created)) = again.await else {
        panic!("it was created before");
    };
    assert_eq!(*created, subscription(1));

    store.clock().set(days_after(8));
    let late = Subscription {
        create_time: days_after(8),
        ..subscription(3)
    };
    let late = store
        .engine()
        .create_subscription(late, request(), None)
        .await;
    assert!(matches!(late, Ok(Created::New)));
    store.reopen().await;
    let all = store.engine().tenant_subscriptions(tenant()).await.unwrap();
    assert_eq!(all.subscriptions.len(), 2);
}

pub async fn a_subscription_changes_only_from_the_version_that_was_read(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    let mut feed = store.engine().subscription_changes();
    let changed = subscription(1).with_spec(elaborate().spec, after(1));
    let replace = |expected| {
        store
            .engine()
            .replace_subscription(changed.clone(), expected)
    };
    let stale = replace(Version(9)).await;
    assert!(matches!(stale, Err(Error::VersionMismatch)));
    replace(Version(1)).await.unwrap();
    assert_eq!(feed.try_recv().unwrap().now.as_deref(), Some(&changed));

    // Back to what is short, so that pieces are left over.
    let back = changed.with_spec(subscription(1).spec, after(2));
    let replaced = store
        .engine()
        .replace_subscription(back.clone(), Version(2))
        .await;
    replaced.unwrap();
    store.reopen().await;
    let read = store.engine().subscription(tenant(), sub(1)).await.unwrap();
    assert_eq!(*read, back);
}

pub async fn a_deleted_subscription_is_gone_and_its_deliveries_read_as_cancelled(
    store: &mut dyn Fixture,
) {
    subscribe(&**store.engine(), 1).await;
    let pending = deliver(&**store.engine(), event(1, NOON), &[1]).await;
    let done = deliver(&**store.engine(), event(2, NOON), &[1]).await;
    store
        .engine()
        .record_attempts(vec![succeeded(done, 1)])
        .await
        .unwrap();
    let mut feed = store.engine().subscription_changes();
    let delete = |expected| {
        let engine = store.engine();
        async move {
            engine
                .delete_subscription(tenant(), sub(1), expected, NOON)
                .await
        }
    };
    let stale = delete(Some(Version(2))).await;
    assert!(matches!(stale, Err(Error::VersionMismatch)));
    delete(Some(Version(1))).await.unwrap();
    assert!(matches!(delete(None).await, Err(Error::NotFound(_))));
    assert_eq!(feed.try_recv().unwrap().now, None);

    store.reopen().await;
    let engine = &**store.engine();
    assert_eq!(engine.find_subscription(sub(1)).await.unwrap(), None);
    let delivery = engine.delivery(tenant(), pending).await.unwrap();
    assert_eq!(delivery.state, DeliveryState::Cancelled);
    assert_eq!(delivery.due, None);
    let delivery = engine.delivery(tenant(), done).await.unwrap();
    assert_eq!(delivery.state, DeliveryState::Succeeded);
}

pub async fn subscriptions_list_newest_first(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 5).await;
    let engine = store.engine();
    let list = |request| engine.list_subscriptions(tenant(), request);
    let seen = every_page(2, list).await;
    let seen: Vec<_> = seen.iter().map(|subscription| subscription.id).collect();
    assert_eq!(seen, [5, 4, 3, 2, 1].map(sub));
}

pub async fn no_more_subscriptions_are_created_than_there_may_be(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let create = async |number, request: Option<&str>| {
        let request = request.map(str::to_owned);
        let created = engine.create_subscription(subscription(number), request, Some(2));
        created.await.unwrap()
    };
    assert!(matches!(create(1, None).await, Created::New));
    assert!(matches!(create(2, Some("a")).await, Created::New));
    assert!(matches!(create(3, Some("b")).await, Created::TooMany));
    // What was created before is no more than that, and what was refused is not.
    let Created::Repeated(first) = create(4, Some("a")).await else {
        panic!("it was created before");
    };
    assert_eq!(*first, subscription(2));
    let mut other = subscription(5);
    other.tenant = "other".parse().unwrap();
    let created = engine.create_subscription(other, None, Some(1)).await;
    assert!(matches!(created.unwrap(), Created::New));
    let deleted = engine.delete_subscription(tenant(), sub(1), None, after(1));
    deleted.await.unwrap();
    assert!(matches!(create(3, Some("b")).await, Created::New));
    assert!(matches!(create(6, None).await, Created::TooMany));
    let all = engine.tenant_subscriptions(tenant()).await.unwrap();
    assert_eq!(all.subscriptions.len(), 2);
}
