//! Filters and explanations over the real binary.

use std::time::{Duration, Instant};

use postrider::proto::{
    BatchPublishEventsRequest, DisableSubscriptionRequest, EnableSubscriptionRequest, Event,
    ExplainEventRequest, Explanation, ExplanationVerdict, PublishEventRequest, Subscription,
    TestFilterRequest, UpdateSubscriptionRequest, event::Payload,
};
use tokio::task::JoinSet;
use tonic::{Request, metadata::MetadataValue};

use crate::support::{Process, Receiver, Reply, eventually, process::subscription};

const FILTER: &str = "event.data.total > 100 && event.type.startsWith('order.')";

async fn filtered(server: &Process, receiver: &Receiver, filter: &str) -> String {
    let created = server
        .subscribe(Subscription {
            filter: filter.to_owned(),
            ..subscription(receiver.url("/hooks"), &[])
        })
        .await;
    assert_eq!(created.filter, filter);
    created.id
}

async fn explain(server: &Process, event: &str) -> Vec<Explanation> {
    let request = ExplainEventRequest {
        id: event.to_owned(),
        ..Default::default()
    };
    let reply = server.events().explain_event(request).await.unwrap();
    reply.into_inner().explanations
}

#[tokio::test]
async fn an_event_goes_where_the_filter_matches_and_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::start(|_, _| Reply::status(200)).await;
    let wanting = filtered(&server, &receiver, FILTER).await;
    let erring = filtered(&server, &receiver, "event.data.missing == 1").await;
    let other = server
        .subscribe(Subscription {
            events: vec!["user.*".to_owned()],
            ..subscription(receiver.url("/hooks"), &[])
        })
        .await;
    let disabled = filtered(&server, &receiver, "true").await;
    let disable = DisableSubscriptionRequest {
        id: disabled.clone(),
        ..Default::default()
    };
    let mut subscriptions = server.subscriptions();
    subscriptions.disable_subscription(disable).await.unwrap();

    let small = server.publish("order.paid", r#"{"total":99}"#).await;
    assert_eq!(small.delivery_count, 0);
    let large = server.publish("order.paid", r#"{"total":101}"#).await;
    assert_eq!(large.delivery_count, 1);

    let enable = EnableSubscriptionRequest {
        id: disabled.clone(),
    };
    subscriptions.enable_subscription(enable).await.unwrap();
    let later = filtered(&server, &receiver, "true").await;
    let explained = eventually("the delivery", || async {
        let explained = explain(&server, &large.event_id).await;
        let delivered = ExplanationVerdict::Delivered;
        explained
            .iter()
            .any(|told| told.verdict() == delivered)
            .then_some(explained)
    })
    .await;
    let told: Vec<_> = explained
        .iter()
        .map(|told| {
            (
                told.subscription_id.clone(),
                told.verdict(),
                told.changed_since,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (later, ExplanationVerdict::CreatedLater, true),
            (disabled, ExplanationVerdict::Disabled, true),
            (other.id, ExplanationVerdict::TypeNotWanted, false),
            (erring, ExplanationVerdict::Filtered, false),
            (wanting.clone(), ExplanationVerdict::Delivered, false),
        ]
    );
    assert_eq!(explained[3].filter_error, "there is no \"missing\"");
    assert_eq!(explained[4].delivery.as_ref().unwrap().attempt_count, 1);
    let small = explain(&server, &small.event_id).await;
    let last = small.last().unwrap();
    assert_eq!(
        (last.verdict(), last.filter_error.as_str()),
        (ExplanationVerdict::Filtered, "")
    );

    let update = UpdateSubscriptionRequest {
        subscription: Some(Subscription {
            id: wanting,
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["filter".to_owned()],
        }),
        validate_only: false,
    };
    let updated = subscriptions.update_subscription(update).await.unwrap();
    assert_eq!(updated.into_inner().filter, "");
    let all = server.publish("order.paid", r#"{"total":99}"#).await;
    assert_eq!(all.delivery_count, 3);
    server.stop().await;
}

#[tokio::test]
async fn a_filter_is_tried_on_a_sample() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let request = |filter: &str, data: &str| TestFilterRequest {
        filter: filter.to_owned(),
        event: Some(Event {
            r#type: "postrider.delivery.failed".to_owned(),
            payload: Some(Payload::Data(data.to_owned().into())),
            ..Default::default()
        }),
    };
    let mut subscriptions = server.subscriptions();
    let ask = subscriptions
        .test_filter(request("event.data.a == 1", r#"{"a":1}"#))
        .await;
    let said = ask.unwrap().into_inner();
    assert_eq!((said.matched, said.error.as_str()), (true, ""));
    let ask = subscriptions
        .test_filter(request("event.data.a == 1", "[]"))
        .await;
    let said = ask.unwrap().into_inner();
    assert_eq!(
        (said.matched, said.error.as_str()),
        (false, "a list has no field \"a\"")
    );
    let refused = subscriptions
        .test_filter(request("a == 1", "{}"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    server.stop().await;
}

/// A batch whose filters would take minutes harms neither another tenant nor the
/// end of the server.
#[tokio::test]
async fn filters_that_take_long_hold_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::accepting().await;
    let deep = "event.data.l.all(x, event.data.l.all(y, event.data.l.all(z, z >= 0)))";
    for _ in 0..20 {
        filtered(&server, &receiver, deep).await;
    }
    let json = format!("{{\"l\":[{}]}}", vec!["1"; 200].join(","));
    let event = Event {
        r#type: "slow".to_owned(),
        payload: Some(Payload::Data(json.into())),
        ..Event::default()
    };
    let mut batches = JoinSet::new();
    for _ in 0..8 {
        let mut events = server.events();
        let request = BatchPublishEventsRequest {
            events: vec![event.clone(); 500],
        };
        batches.spawn(async move { events.batch_publish_events(request).await });
    }
    let mut other = Request::new(PublishEventRequest { event: Some(event) });
    let tenant = MetadataValue::from_static("other");
    other.metadata_mut().insert("postrider-tenant", tenant);
    let began = Instant::now();
    server.events().publish_event(other).await.unwrap();
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    assert!(batches.try_join_next().is_none(), "the batches still run");
    let began = Instant::now();
    server.stop().await;
    let stopping = began.elapsed();
    assert!(stopping < Duration::from_secs(10), "{stopping:?}");
}
