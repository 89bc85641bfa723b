//! What the server does with more than it takes, and with callers who do not
//! wait, or take no answers.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use postrider::proto::{
    Event, EventView, ListEventsRequest, PublishEventRequest, TailDeliveriesRequest,
    TestSubscriptionRequest, event::Payload,
};
use prost::Message;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt;

use crate::support::{Process, Receiver, Reply, eventually, process::subscription};

fn assert_overloaded(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "OVERLOADED");
    assert!(details.retry_info().is_some());
}

fn publish(key: &str) -> PublishEventRequest {
    PublishEventRequest {
        event: Some(Event {
            r#type: "order.shipped".to_owned(),
            payload: Some(Payload::Data("{}".into())),
            idempotency_key: key.to_owned(),
            ..Default::default()
        }),
    }
}

#[tokio::test]
async fn what_is_beyond_the_limits_is_refused_and_health_answers() {
    let folder = tempfile::tempdir().unwrap();
    let limits = [
        ("POSTRIDER_SERVER_MAX_CALLS", "1"),
        ("POSTRIDER_SERVER_MAX_STREAMS", "1"),
    ];
    let server = Process::start_with(folder.path(), &limits).await;
    let receiver = Receiver::start(|_, _| Reply::Hang).await;
    let mut slow = subscription(receiver.url("/"), &[]);
    slow.timeout = Some(prost_types::Duration {
        seconds: 60,
        nanos: 0,
    });
    let id = server.subscribe(slow).await.id;
    let test = || {
        let mut subscriptions = server.subscriptions();
        let request = TestSubscriptionRequest {
            id: id.clone(),
            event_type: String::new(),
        };
        async move { subscriptions.test_subscription(request).await }
    };
    let under_way = tokio::spawn(test());
    receiver.wait_for(1).await;
    let tail = || async {
        let mut deliveries = server.deliveries();
        deliveries
            .tail_deliveries(TailDeliveriesRequest::default())
            .await
    };
    let _open = tail().await.unwrap();

    let mut refusals = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        let refused = test().await;
        refusals.push(began.elapsed());
        assert_overloaded(&refused.unwrap_err());
    }
    // Some of them are late on a machine that is busy, not most.
    refusals.sort_unstable();
    assert!(refusals[25] < Duration::from_millis(20), "{refusals:?}");
    assert_overloaded(&tail().await.unwrap_err());
    let mut health = HealthClient::new(server.channel());
    health.check(HealthCheckRequest::default()).await.unwrap();
    // Calls that wait for an endpoint keep nobody else waiting.
    let published = server.events().publish_event(publish("")).await;
    published.expect("it has a place of its own");
    under_way.abort();
    eventually("the call to be over", async || {
        let refused = tokio::time::timeout(Duration::from_millis(500), test()).await;
        refused.is_err().then_some(())
    })
    .await;
    server.stop().await;
}

/// Publishes with a deadline that only the server knows of, and returns the
/// status if it is refused.
async fn hurried(
    client: &reqwest::Client,
    server: &Process,
    key: &str,
    timeout: u32,
) -> Option<String> {
    let message = publish(key).encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let path = "postrider.v1.EventService/PublishEvent";
    let answer = client
        .post(format!("http://{}/{path}", server.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", format!("{timeout}u"))
        .body([&[0][..], &length, &message].concat())
        .send()
        .await
        .unwrap();
    let status = answer.headers().get("grpc-status");
    status.map(|status| status.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_publish_past_its_deadline_is_accepted_once_when_it_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::accepting().await;
    server.subscribe(subscription(receiver.url("/"), &[])).await;
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let client = client.no_proxy().build().unwrap();
    let mut exceeded = 0;
    for n in 0..100 {
        let key = format!("key-{n}");
        // From what is too short for anything to what is long enough.
        if let Some(status) = hurried(&client, &server, &key, n * 100).await {
            assert_eq!(status, "4");
            exceeded += 1;
        }
        let again = server.events().publish_event(publish(&key)).await;
        again.expect("it has all the time");
    }
    assert!(exceeded > 0, "some deadlines are too short");
    let requests = receiver.wait_for(100).await;
    let ids: HashSet<_> = requests
        .iter()
        .map(|request| request.header("webhook-id"))
        .collect();
    assert_eq!(ids.len(), 100, "each event is delivered, and once");
    server.stop().await;
}

/// Lists events on all the streams that a connection may have, and takes no byte
/// of the answers, for as long as the server has the connection.
async fn take_nothing(address: &str) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut client = h2::client::Builder::new();
    client.initial_window_size(0);
    let (mut calls, connection) = client.handshake::<_, Bytes>(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let message = ListEventsRequest {
        view: EventView::Full.into(),
        ..Default::default()
    };
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let message = Bytes::from([&[0][..], &length, &message].concat());
    let mut answers = Vec::new();
    for _ in 0..100 {
        let request = http::Request::post("http://localhost/postrider.v1.EventService/ListEvents")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        calls = calls.ready().await.unwrap();
        let (answer, mut body) = calls.send_request(request, false).unwrap();
        body.send_data(message.clone(), true).unwrap();
        answers.push((answer, body));
    }
    let _ = connection.await.unwrap();
}

#[tokio::test]
async fn answers_that_nobody_takes_are_bounded_and_end() {
    const CONNECTIONS: usize = 12;
    /// What is being read when the bound is reached goes beyond it.
    const MEMORY: u64 = 320 * 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let limits = [("POSTRIDER_SERVER_MAX_RESPONSE_MEMORY", "32MiB")];
    let server = Process::start_with(folder.path(), &limits).await;
    for _ in 0..10 {
        let data = format!("{:?}", "x".repeat(250 * 1024));
        server.publish("order.shipped", &data).await;
    }
    let list = async || {
        let request = ListEventsRequest::default();
        server.events().list_events(request).await
    };
    let before = server.peak_memory();
    let address = server.address.clone();
    let stalled = tokio::spawn(async move {
        let address = address.as_str();
        let all = (0..CONNECTIONS).map(|_| take_nothing(address));
        futures_util::future::join_all(all).await;
    });
    let refused = eventually("reads to be refused", async || list().await.err()).await;
    assert_overloaded(&refused);
    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        let began = Instant::now();
        server.publish("order.shipped", "{}").await;
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    // Those that have answers waiting are closed, which makes room again.
    let room = async {
        while list().await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let room = tokio::time::timeout(Duration::from_secs(100), room).await;
    room.expect("there is room again");
    let grown = server.peak_memory() - before;
    assert!(grown < MEMORY, "{grown} bytes");
    stalled.abort();
    server.stop().await;
}
