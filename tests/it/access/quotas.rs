//! What a tenant may use: refused with when to come again, and no matter to
//! others.

use postrider::proto::{
    BatchPublishEventsRequest, CreateSubscriptionRequest, Event, PublishEventRequest,
    StreamPublishEventsRequest, Subscription, event, event_service_client::EventServiceClient,
    stream_publish_events_response, subscription_service_client::SubscriptionServiceClient,
};
use tokio_stream::iter;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::shown;
use crate::support::{Process, eventually};

/// A server with these quotas that asks nobody for a key, so that calls may act
/// for any tenant.
async fn server(quotas: &[(&str, &str)]) -> (tempfile::TempDir, Process) {
    let data = tempfile::tempdir().unwrap();
    let server = Process::start_with(data.path(), quotas).await;
    (data, server)
}

fn event(size: usize) -> Event {
    Event {
        r#type: "order.created".to_owned(),
        payload: Some(event::Payload::Data(vec![b'1'; size].into())),
        ..Event::default()
    }
}

async fn publish(server: &Process, tenant: &str, size: usize) -> Result<(), Status> {
    let mut events = EventServiceClient::new(shown(server.channel(), "", tenant));
    let request = PublishEventRequest {
        event: Some(event(size)),
    };
    events.publish_event(request).await.map(|_| ())
}

async fn subscribe(server: &Process, tenant: &str, request_id: &str) -> Result<String, Status> {
    let mut subscriptions = SubscriptionServiceClient::new(shown(server.channel(), "", tenant));
    let request = CreateSubscriptionRequest {
        subscription: Some(Subscription {
            // Nobody listens there.
            url: "http://127.0.0.1:9/".to_owned(),
            events: vec!["order.*".to_owned()],
            ..Default::default()
        }),
        request_id: request_id.to_owned(),
        ..Default::default()
    };
    let created = subscriptions.create_subscription(request).await;
    created.map(|created| created.into_inner().id)
}

#[track_caller]
fn assert_exceeded(status: &Status, subject: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "QUOTA_EXCEEDED");
    let retry = details.retry_info().and_then(|info| info.retry_delay);
    assert!(retry.is_some_and(|delay| !delay.is_zero()), "{retry:?}");
    let failures = &details.quota_failure().unwrap().violations;
    assert_eq!(failures[0].subject, subject);
}

#[tokio::test]
async fn a_publish_rate_holds_for_calls_batches_and_streams() {
    // So slow that no machine is slow enough for another one.
    let quotas = [
        ("POSTRIDER_QUOTAS_PUBLISH_RATE", "0.001/s burst 4"),
        ("POSTRIDER_QUOTAS_TENANT_PUBLISH_RATE", "globex=1000/s"),
    ];
    let (_data, server) = server(&quotas).await;
    let mut events = EventServiceClient::new(shown(server.channel(), "", "acme"));
    publish(&server, "acme", 1).await.unwrap();
    let batch = BatchPublishEventsRequest {
        events: vec![event(1); 2],
    };
    events.batch_publish_events(batch.clone()).await.unwrap();
    let items = (1..=3).map(|sequence| StreamPublishEventsRequest {
        sequence,
        event: Some(event(1)),
    });
    let items: Vec<_> = items.collect();
    let answers = events.stream_publish_events(iter(items)).await;
    let mut answers = answers.unwrap().into_inner();
    let (mut accepted, mut refused) = (0, Vec::new());
    while let Some(answer) = answers.message().await.unwrap() {
        match answer.result.unwrap() {
            stream_publish_events_response::Result::Accepted(_) => accepted += 1,
            stream_publish_events_response::Result::Refused(refusal) => refused.push(refusal),
        }
    }
    assert_eq!((accepted, refused.len()), (1, 2));
    for refusal in refused {
        assert_eq!(refusal.reason, "QUOTA_EXCEEDED");
        assert_eq!(refusal.code, i32::from(Code::ResourceExhausted));
        assert!(refusal.retry_delay.is_some());
    }
    assert_exceeded(
        &publish(&server, "acme", 1).await.unwrap_err(),
        "tenant:acme",
    );
    let refused = events.batch_publish_events(batch).await.unwrap_err();
    assert_exceeded(&refused, "tenant:acme");
    // That is no matter to others.
    publish(&server, "initech", 1).await.unwrap();
    for _ in 0..20 {
        publish(&server, "globex", 1).await.unwrap();
    }
}

#[tokio::test]
async fn payloads_are_counted_together_and_a_large_one_is_waited_for_afterwards() {
    let quotas = [("POSTRIDER_QUOTAS_PUBLISH_SIZE", "1KiB")];
    let (_data, server) = server(&quotas).await;
    publish(&server, "acme", 200 * 1024).await.unwrap();
    let refused = publish(&server, "acme", 1).await.unwrap_err();
    assert_exceeded(&refused, "tenant:acme");
    let retry = refused.get_error_details().retry_info().cloned();
    let delay = retry.unwrap().retry_delay.unwrap();
    assert!((100..=200).contains(&delay.as_secs()), "{delay:?}");
    publish(&server, "globex", 1).await.unwrap();
}

#[tokio::test]
async fn a_subscription_too_many_is_refused_and_a_repetition_is_not() {
    let quotas = [
        ("POSTRIDER_QUOTAS_SUBSCRIPTIONS", "1"),
        ("POSTRIDER_QUOTAS_TENANT_SUBSCRIPTIONS", "globex=2"),
    ];
    let (_data, server) = server(&quotas).await;
    let first = subscribe(&server, "acme", "one").await.unwrap();
    let refused = subscribe(&server, "acme", "two").await.unwrap_err();
    assert_exceeded(&refused, "tenant:acme");
    assert_eq!(subscribe(&server, "acme", "one").await.unwrap(), first);
    for request in ["one", "two"] {
        subscribe(&server, "globex", request).await.unwrap();
    }
    let refused = subscribe(&server, "globex", "three").await.unwrap_err();
    assert_exceeded(&refused, "tenant:globex");
}

#[tokio::test]
async fn what_is_pending_keeps_its_tenant_from_publishing_more() {
    let quotas = [("POSTRIDER_QUOTAS_PENDING", "3")];
    let (_data, server) = server(&quotas).await;
    subscribe(&server, "acme", "").await.unwrap();
    let refused = eventually("the deliveries to be counted", async || {
        publish(&server, "acme", 1).await.err()
    })
    .await;
    assert_exceeded(&refused, "tenant:acme");
    publish(&server, "globex", 1).await.unwrap();
}
