//! What receivers see, and what their answers lead to.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use postrider::proto::{
    Attempt, CancelDeliveryRequest, DeliveryFilter, DeliveryState, ErrorKind, EventView,
    GetDeliveryRequest, GetEventRequest, GetSubscriptionRequest, ListAttemptsRequest,
    ListDeliveriesRequest, RetryDeliveryRequest, SubscriptionState,
};
use sha2::Sha256;

use crate::support::{Process, Received, Receiver, Reply, eventually, process::subscription};

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Checks both signatures as the schemes' texts say.
fn assert_signed(request: &Received, secret: &str) {
    let id = request.header("webhook-id");
    let timestamp = request.header("webhook-timestamp");
    let signed = [format!("{id}.{timestamp}.").as_bytes(), &request.body].concat();
    let key = STANDARD.decode(&secret["whsec_".len()..]).unwrap();
    assert_eq!(
        request.header("webhook-signature"),
        format!("v1,{}", STANDARD.encode(mac(&key, &signed)))
    );
    let hex = mac(secret.as_bytes(), &request.body)
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert_eq!(
        request.header("x-webhook-signature"),
        format!("sha256={hex}")
    );
    assert_eq!(request.header("x-webhook-id"), id);
    assert_eq!(request.header("x-webhook-timestamp"), timestamp);
}

/// Waits until the event's only delivery is in the state and returns its id.
async fn settled(server: &Process, event_id: &str, state: DeliveryState) -> String {
    eventually(&format!("{event_id} to be {state:?}"), async || {
        let request = ListDeliveriesRequest {
            filter: Some(of_event(event_id)),
            ..Default::default()
        };
        let reply = server.deliveries().list_deliveries(request).await.unwrap();
        let deliveries = reply.into_inner().deliveries;
        assert_eq!(deliveries.len(), 1);
        (deliveries[0].state() == state).then(|| deliveries[0].id.clone())
    })
    .await
}

fn of_event(event_id: &str) -> DeliveryFilter {
    DeliveryFilter {
        event_id: event_id.to_owned(),
        ..Default::default()
    }
}

/// The attempts of an event, oldest first.
async fn attempts(server: &Process, event_id: &str) -> Vec<Attempt> {
    let request = ListAttemptsRequest {
        filter: Some(of_event(event_id)),
        ..Default::default()
    };
    let reply = server.deliveries().list_attempts(request).await.unwrap();
    let mut attempts = reply.into_inner().attempts;
    attempts.reverse();
    attempts
}

#[tokio::test]
async fn an_event_arrives_signed_and_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::accepting().await;
    let created = server
        .subscribe(subscription(receiver.url("/hooks/orders"), &[]))
        .await;
    let data = r#"{"b": 1.50, "a":"\u00e9 é"}"#;
    let published = server.publish("order.shipped", data).await;
    assert_eq!((published.delivery_count, published.duplicate), (1, false));

    let request = receiver.wait_for(1).await.remove(0);
    assert_signed(&request, &created.secret);
    assert_eq!(request.path, "/hooks/orders");
    assert_eq!(request.header("webhook-id"), published.event_id);
    assert_eq!(request.header("webhook-attempt"), "1");
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.header("user-agent").starts_with("Postrider/"));
    let body = std::str::from_utf8(&request.body).unwrap();
    let expected = format!(
        r#"{{"id":"{}","type":"order.shipped","createdAt":""#,
        published.event_id
    );
    assert!(body.starts_with(&expected), "{body}");
    assert!(body.ends_with(&format!(r#","data":{data}}}"#)), "{body}");

    settled(&server, &published.event_id, DeliveryState::Succeeded).await;
    let attempt = attempts(&server, &published.event_id).await.remove(0);
    assert_eq!((attempt.number, attempt.response_status), (1, 204));
    assert_eq!(attempt.error_kind(), ErrorKind::Unspecified);
    assert!(attempt.peer_address.starts_with("127.0.0.1:"));
    let event = server
        .events()
        .get_event(GetEventRequest {
            id: published.event_id,
            view: EventView::Full.into(),
        })
        .await
        .unwrap()
        .into_inner();
    let Some(postrider::proto::event::Payload::Data(stored)) = event.payload else {
        panic!("no payload");
    };
    assert_eq!(stored, data);
    server.stop().await;
}

#[tokio::test]
async fn a_failed_delivery_is_retried_on_schedule_with_the_same_id_and_body() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::start(|_, n| Reply::status(if n < 2 { 500 } else { 200 })).await;
    server
        .subscribe(subscription(receiver.url("/"), &[150, 300]))
        .await;
    let published = server.publish("order.paid", "{}").await;
    let requests = receiver.wait_for(3).await;
    let id = settled(&server, &published.event_id, DeliveryState::Succeeded).await;

    for (number, request) in (1..).zip(&requests) {
        assert_eq!(request.header("webhook-attempt"), format!("{number}"));
        assert_eq!(request.header("webhook-id"), published.event_id);
        assert_eq!(request.body, requests[0].body);
    }
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(150));
    assert!(requests[2].at - requests[1].at >= Duration::from_millis(300));
    let statuses: Vec<_> = attempts(&server, &published.event_id)
        .await
        .iter()
        .map(|attempt| attempt.response_status)
        .collect();
    assert_eq!(statuses, [500, 500, 200]);

    let mut deliveries = server.deliveries();
    let retried = deliveries
        .retry_delivery(RetryDeliveryRequest { id: id.clone() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(retried.id, id);
    let again = receiver.wait_for(4).await.remove(3);
    assert_eq!(again.header("webhook-attempt"), "4");
    assert_eq!(again.body, requests[0].body);
    server.stop().await;
}

#[tokio::test]
async fn a_delivery_fails_when_its_attempts_are_used_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::start(|_, _| Reply::status(503)).await;
    server
        .subscribe(subscription(receiver.url("/"), &[0, 0]))
        .await;
    let published = server.publish("order.paid", "{}").await;
    settled(&server, &published.event_id, DeliveryState::Failed).await;
    assert_eq!(receiver.received().len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let elsewhere = Receiver::accepting().await;
    let target = elsewhere.url("/");
    let receiver = Receiver::start(move |_, _| {
        Reply::Full(301, vec![("location", target.clone())], String::new())
    })
    .await;
    server.subscribe(subscription(receiver.url("/"), &[])).await;
    let published = server.publish("a", "{}").await;
    settled(&server, &published.event_id, DeliveryState::Failed).await;
    let attempt = attempts(&server, &published.event_id).await.remove(0);
    assert_eq!(attempt.error_kind(), ErrorKind::Redirect);
    assert!(elsewhere.received().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_disables_its_subscription() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::start(|_, _| Reply::status(410)).await;
    let created = server
        .subscribe(subscription(receiver.url("/"), &[0, 0]))
        .await;
    let published = server.publish("a", "{}").await;
    settled(&server, &published.event_id, DeliveryState::Failed).await;
    let disabled = eventually("the subscription to be disabled", async || {
        let request = GetSubscriptionRequest {
            id: created.id.clone(),
        };
        let reply = server.subscriptions().get_subscription(request).await;
        let subscription = reply.unwrap().into_inner();
        (subscription.state() == SubscriptionState::Disabled).then_some(subscription)
    })
    .await;
    assert_eq!(disabled.state_reason.unwrap().code, "GONE");
    assert_eq!(server.publish("a", "{}").await.delivery_count, 0);
    assert_eq!(receiver.received().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::start(|_, n| match n {
        0 => Reply::Full(429, vec![("retry-after", "2".to_owned())], String::new()),
        _ => Reply::status(200),
    })
    .await;
    server
        .subscribe(subscription(receiver.url("/"), &[0]))
        .await;
    server.publish("a", "{}").await;
    let requests = receiver.wait_for(2).await;
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(2));
    server.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_or_drips_is_left_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::start(|request, _| match request.path.as_str() {
        "/hang" => Reply::Hang,
        _ => Reply::Drip(200, Duration::from_millis(100)),
    })
    .await;
    for path in ["/hang", "/drip"] {
        let mut subscription = subscription(receiver.url(path), &[]);
        subscription.events = vec![path[1..].to_owned()];
        subscription.timeout = Some(prost_types::Duration {
            seconds: 1,
            nanos: 0,
        });
        server.subscribe(subscription).await;
    }
    let began = Instant::now();
    for event_type in ["hang", "drip"] {
        let published = server.publish(event_type, "{}").await;
        settled(&server, &published.event_id, DeliveryState::Failed).await;
        let attempt = attempts(&server, &published.event_id).await.remove(0);
        assert_eq!(attempt.error_kind(), ErrorKind::Timeout, "{event_type}");
    }
    assert!(began.elapsed() >= Duration::from_secs(2));
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_delivery_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::start(|_, _| Reply::status(500)).await;
    server
        .subscribe(subscription(receiver.url("/"), &[1_000]))
        .await;
    let published = server.publish("a", "{}").await;
    let id = settled(&server, &published.event_id, DeliveryState::Retrying).await;
    let mut deliveries = server.deliveries();
    let cancelled = deliveries
        .cancel_delivery(CancelDeliveryRequest { id: id.clone() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(cancelled.state(), DeliveryState::Cancelled);
    // A later event that goes the same way shows that time has passed.
    server.publish("b", "{}").await;
    let requests = receiver.wait_for(3).await;
    let of_first = requests
        .iter()
        .filter(|request| request.header("webhook-id") == published.event_id);
    assert_eq!(of_first.count(), 1);
    let now = deliveries
        .get_delivery(GetDeliveryRequest { id })
        .await
        .unwrap();
    assert_eq!(now.into_inner().state(), DeliveryState::Cancelled);
    server.stop().await;
}
