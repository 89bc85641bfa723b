//! Publishing over gRPC: streams that end in every way, and routing under load.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use postrider::proto::{
    Event, StreamPublishEventsRequest, event::Payload,
    stream_publish_events_response::Result as Answer,
};
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use crate::support::{Process, Receiver, process::subscription, within};

fn item(sequence: u64, event_type: &str) -> StreamPublishEventsRequest {
    StreamPublishEventsRequest {
        sequence,
        event: Some(Event {
            r#type: event_type.to_owned(),
            payload: Some(Payload::Data("{}".into())),
            ..Default::default()
        }),
    }
}

async fn message<T>(stream: &mut Streaming<T>) -> Result<Option<T>, tonic::Status> {
    within("a message of the stream", stream.message()).await
}

#[tokio::test]
async fn a_client_that_is_done_sending_still_gets_every_answer() {
    const EVENTS: u64 = 2_000;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let items = (0..EVENTS).map(|n| item(n, if n % 100 == 7 { "not a type" } else { "a" }));
    let sent = tokio_stream::iter(items.collect::<Vec<_>>());
    let answers = server.events().stream_publish_events(sent).await;
    let mut answers = answers.unwrap().into_inner();
    let mut answered = Vec::new();
    while let Some(answer) = message(&mut answers).await.unwrap() {
        match answer.result.unwrap() {
            Answer::Accepted(_) => assert_ne!(answer.sequence % 100, 7),
            Answer::Refused(refusal) => {
                assert_eq!(answer.sequence % 100, 7);
                assert_eq!(refusal.reason, "VALIDATION_FAILED");
                assert_eq!(refusal.field_violations[0].field, "event.type");
            }
        }
        answered.push(answer.sequence);
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..EVENTS).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn a_draining_server_answers_what_it_took_before_it_ends_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let (events, sent) = mpsc::channel(100);
    for sequence in 0..100 {
        events.send(item(sequence, "a")).await.unwrap();
    }
    let sent = ReceiverStream::new(sent);
    let answers = server.events().stream_publish_events(sent).await;
    let mut answers = answers.unwrap().into_inner();
    let mut answered = Vec::new();
    let end = loop {
        match message(&mut answers).await {
            Ok(answer) => answered.push(answer.expect("the end has a status").sequence),
            Err(end) => break end,
        }
        if answered.len() == 1 {
            server.signal(Signal::TERM);
        }
    };
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
    answered.sort_unstable();
    let every: Vec<_> = (0..).take(answered.len()).collect();
    assert_eq!(answered, every, "what was taken is answered without a gap");
    drop(events);
    let (status, _) = server.wait().await;
    assert!(status.success());
}

#[tokio::test]
async fn a_subscription_gets_every_event_published_after_it_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(Process::start(folder.path()).await);
    let receiver = Receiver::accepting().await;
    let done = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..16)
        .map(|_| {
            let (server, done) = (server.clone(), done.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    server.publish("other", "{}").await;
                }
            })
        })
        .collect();
    for subscribed in 1..=20 {
        let mut wanted = subscription(receiver.url("/"), &[]);
        wanted.events = vec!["order.*".to_owned()];
        server.subscribe(wanted).await;
        let published = server.publish("order.shipped", "{}").await;
        assert_eq!(published.delivery_count, subscribed);
    }
    done.store(true, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let server = Arc::into_inner(server).expect("the publishers are gone");
    server.stop().await;
}
