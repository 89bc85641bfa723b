//! Subscriptions that get the events of an ordering key in order.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use postrider::proto::{
    BatchPublishEventsRequest, Event, PublishEventRequest, StreamPublishEventsRequest,
    Subscription, event::Payload,
};

use crate::support::{Process, Receiver, Reply, eventually, process::subscription, within};

fn event(key: &str, data: &str) -> Event {
    Event {
        r#type: "order.paid".to_owned(),
        ordering_key: key.to_owned(),
        payload: Some(Payload::Data(format!("\"{data}\"").into())),
        ..Default::default()
    }
}

fn ordered(receiver: &Receiver) -> Subscription {
    Subscription {
        ordered: true,
        max_in_flight: 64,
        ..subscription(receiver.url("/"), &[50; 50])
    }
}

/// What a receiver got, each once and in the order of first receipt.
fn data(receiver: &Receiver) -> Vec<String> {
    let mut data = Vec::new();
    for request in receiver.received() {
        let one = request.json()["data"].as_str().unwrap().to_owned();
        if !data.contains(&one) {
            data.push(one);
        }
    }
    data
}

#[tokio::test]
async fn an_ordered_subscription_keeps_the_order_of_each_key_through_retries() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    // The second of `a` fails until all of `b` were received.
    let of_b = AtomicUsize::new(0);
    let receiver = Receiver::start(move |request, _| {
        let waits = match request.json()["data"].as_str().unwrap() {
            "a2" => request.header("webhook-attempt") == "1" || of_b.load(SeqCst) < 3,
            data => {
                of_b.fetch_add(usize::from(data.starts_with('b')), SeqCst);
                false
            }
        };
        Reply::status(if waits { 500 } else { 204 })
    })
    .await;
    server.subscribe(ordered(&receiver)).await;
    for data in ["a1", "b1", "a2", "b2", "a3", "b3"] {
        let event = Some(event(&data[..1], data));
        let request = PublishEventRequest { event };
        server.events().publish_event(request).await.unwrap();
    }
    eventually("all", async || (data(&receiver).len() == 6).then_some(())).await;
    let attempts = receiver.received().len();
    assert!(attempts >= 7, "nothing was tried again");
    for key in ["a", "b"] {
        let of_key = data(&receiver)
            .into_iter()
            .filter(|one| one.starts_with(key));
        let expected = (1..=3).map(|n| format!("{key}{n}"));
        assert!(of_key.eq(expected), "{:?}", data(&receiver));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_key_that_waits_with_many_events_does_not_keep_others_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::start(|request, _| {
        let waits = request.json()["data"].as_str().unwrap().starts_with('a');
        Reply::status(if waits { 500 } else { 204 })
    })
    .await;
    let subscription = Subscription {
        ordered: true,
        ..subscription(receiver.url("/"), &[60_000; 5])
    };
    server.subscribe(subscription).await;
    for _ in 0..12 {
        let events = (0..1_000).map(|n| event("a", &format!("a{n}"))).collect();
        let batch = BatchPublishEventsRequest { events };
        server.events().batch_publish_events(batch).await.unwrap();
    }
    let event = Some(event("b", "b"));
    let request = PublishEventRequest { event };
    server.events().publish_event(request).await.unwrap();
    let arrived = async || data(&receiver).contains(&"b".to_owned()).then_some(());
    eventually("the event of the other key", arrived).await;
    assert_eq!(data(&receiver), ["a0", "b"]);
    server.stop().await;
}

#[tokio::test]
async fn the_order_of_batches_and_streams_holds_through_a_kill() {
    const EACH: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let fails = Arc::new(AtomicBool::new(true));
    let failing = fails.clone();
    let receiver = Receiver::start(move |_, n| {
        let fails = failing.load(SeqCst) || n % 7 == 0;
        Reply::status(if fails { 500 } else { 204 })
    })
    .await;
    server.subscribe(ordered(&receiver)).await;
    let numbered = |from: usize| (from..from + EACH).map(|n| event("key", &n.to_string()));
    let batch = BatchPublishEventsRequest {
        events: numbered(0).collect(),
    };
    server.events().batch_publish_events(batch).await.unwrap();
    let items = (0..).zip(numbered(EACH));
    let items: Vec<_> = items
        .map(|(sequence, event)| StreamPublishEventsRequest {
            sequence,
            event: Some(event),
        })
        .collect();
    let sent = tokio_stream::iter(items);
    let answers = server.events().stream_publish_events(sent).await;
    let mut answers = answers.unwrap().into_inner();
    while within("an answer", answers.message())
        .await
        .unwrap()
        .is_some()
    {}

    server.kill().await;
    fails.store(false, SeqCst);
    let server = Process::start(folder.path()).await;
    let all = 2 * EACH;
    eventually("all", async || (data(&receiver).len() == all).then_some(())).await;
    let expected: Vec<_> = (0..all).map(|n| n.to_string()).collect();
    assert_eq!(data(&receiver), expected);
    server.stop().await;
}
