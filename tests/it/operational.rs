//! What goes wrong is told to those who subscribe to it, once, and to nobody
//! else.

use std::collections::BTreeSet;

use postrider::proto::{GetSubscriptionRequest, Subscription, SubscriptionState};
use serde_json::Value;

use crate::support::{Process, Receiver, Reply, eventually, process::subscription};

fn to(url: String, events: &[&str]) -> Subscription {
    Subscription {
        events: events.iter().map(ToString::to_string).collect(),
        ..subscription(url, &[])
    }
}

/// Waits until a subscription is disabled.
async fn disabled(server: &Process, id: &str) {
    eventually("the subscription to be disabled", async || {
        let request = GetSubscriptionRequest { id: id.to_owned() };
        let found = server.subscriptions().get_subscription(request).await;
        let found = found.unwrap().into_inner();
        (found.state() == SubscriptionState::Disabled).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_failed_delivery_and_a_disabled_subscription_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let told = Receiver::accepting().await;
    let everything = Receiver::accepting().await;
    let gone = Receiver::start(|_, _| Reply::status(410)).await;
    server.subscribe(to(told.url("/"), &["postrider.*"])).await;
    server.subscribe(to(everything.url("/"), &["*"])).await;
    let lost = server.subscribe(to(gone.url("/"), &["order.*"])).await;
    let published = server.publish("order.shipped", "{}").await;

    let mut seen = told.wait_for(2).await;
    seen.sort_by_key(|request| request.json()["type"].to_string());
    let [failed, disabled] = &seen[..] else {
        panic!("{seen:?}");
    };
    let failed = failed.json();
    assert_eq!(failed["type"], "postrider.delivery.failed");
    let data = &failed["data"];
    assert_eq!(data["eventId"], published.event_id);
    assert_eq!(data["subscriptionId"], lost.id);
    assert_eq!(
        (&data["eventType"], &data["attempts"]),
        (&"order.shipped".into(), &1.into())
    );
    assert_eq!(data["lastAttempt"]["errorKind"], "GONE");
    assert_eq!(data["lastAttempt"]["responseStatus"], 410);
    let disabled = disabled.json();
    assert_eq!(disabled["type"], "postrider.subscription.disabled");
    assert_eq!(disabled["data"]["subscriptionId"], lost.id);
    assert_eq!(disabled["data"]["reason"], "GONE");

    // The log is read again after a restart, and a later failure comes after what
    // that would repeat.
    server.stop().await;
    let server = Process::start(folder.path()).await;
    let lost = server.subscribe(to(gone.url("/"), &["invoice.*"])).await;
    server.publish("invoice.paid", "{}").await;
    let seen = told.wait_for(4).await;
    let ids: BTreeSet<_> = seen
        .iter()
        .map(|request| request.json()["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 4);
    let later = seen[2..]
        .iter()
        .map(|request| request.json()["data"]["subscriptionId"].clone());
    assert_eq!(
        later.collect::<Vec<Value>>(),
        [lost.id.as_str(), &lost.id].map(Value::from)
    );
    // Whoever takes everything gets what was published.
    let types = everything.received();
    let types: BTreeSet<_> = types
        .iter()
        .map(|got| got.json()["type"].to_string())
        .collect();
    assert!(
        types.iter().all(|of| !of.contains("postrider")),
        "{types:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn what_becomes_of_those_who_are_told_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let told = Receiver::accepting().await;
    let gone = Receiver::start(|_, _| Reply::status(410)).await;
    let deaf = server
        .subscribe(to(gone.url("/deaf"), &["postrider.*"]))
        .await;
    server.subscribe(to(gone.url("/"), &["order.*"])).await;
    server.publish("order.shipped", "{}").await;
    disabled(&server, &deaf.id).await;
    // It is told to nobody, also if somebody listens since.
    server.subscribe(to(told.url("/"), &["postrider.*"])).await;
    server.subscribe(to(gone.url("/"), &["invoice.*"])).await;
    server.publish("invoice.paid", "{}").await;
    let seen = told.wait_for(2).await;
    for request in seen {
        let data = request.json()["data"].clone();
        assert_ne!(data["subscriptionId"], deaf.id, "{data}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_breaker_that_opens_and_one_that_closes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let told = Receiver::accepting().await;
    let mended = Receiver::start(|request, _| match request.path.as_str() {
        "/mended" => Reply::status(204),
        _ => Reply::status(500),
    })
    .await;
    let types = [
        "postrider.subscription.breaker.*",
        "postrider.subscription.recovered",
    ];
    server.subscribe(to(told.url("/"), &types)).await;
    let failing = Subscription {
        events: vec!["order.*".to_owned()],
        ..subscription(mended.url("/"), &[1_100, 60_000])
    };
    let failing = server.subscribe(failing).await;
    for _ in 0..6 {
        server.publish("order.shipped", "{}").await;
    }
    let opened = told.wait_for(1).await.remove(0).json();
    assert_eq!(opened["type"], "postrider.subscription.breaker.opened");
    assert_eq!(opened["data"]["subscriptionId"], failing.id);
    assert!(opened["data"]["time"].is_string());

    let update = postrider::proto::UpdateSubscriptionRequest {
        subscription: Some(Subscription {
            id: failing.id.clone(),
            url: mended.url("/mended"),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["url".to_owned()],
        }),
        ..Default::default()
    };
    let updated = server.subscriptions().update_subscription(update).await;
    updated.unwrap();
    let test = postrider::proto::TestSubscriptionRequest {
        id: failing.id.clone(),
        ..Default::default()
    };
    let tested = server.subscriptions().test_subscription(test).await;
    tested.unwrap();
    let recovered = told.wait_for(2).await.remove(1).json();
    assert_eq!(recovered["type"], "postrider.subscription.recovered");
    assert_eq!(recovered["data"]["subscriptionId"], failing.id);
    server.stop().await;
}
