//! Tails over a restart, and an end that is clean and bounded.

use std::time::{Duration, Instant};

use postrider::proto::{
    TailDeliveriesRequest, TailDeliveriesResponse, TestSubscriptionRequest,
    tail_deliveries_request::Start, tail_deliveries_response::Event,
};
use tokio::net::TcpStream;
use tonic::{Code, Streaming};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::support::{Process, Receiver, process::subscription, within};

async fn tail(server: &Process, start: Option<Start>) -> Streaming<TailDeliveriesResponse> {
    let request = TailDeliveriesRequest {
        start,
        ..Default::default()
    };
    let reply = server.deliveries().tail_deliveries(request).await;
    reply.expect("the request is valid").into_inner()
}

async fn next(tail: &mut Streaming<TailDeliveriesResponse>) -> TailDeliveriesResponse {
    let message = within("a message of the tail", tail.message()).await;
    message.expect("the tail lives").expect("the tail goes on")
}

/// The event of the next attempt, and the token after it.
async fn next_attempt(tail: &mut Streaming<TailDeliveriesResponse>) -> (String, String) {
    loop {
        let message = next(tail).await;
        match message.event {
            Some(Event::Attempt(attempt)) => return (attempt.event_id, message.resume_token),
            Some(Event::Heartbeat(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_tail_resumes_after_a_restart_without_gap_or_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::accepting().await;
    let server = Process::start(folder.path()).await;
    server.subscribe(subscription(receiver.url("/"), &[])).await;
    let mut live = tail(&server, None).await;
    let first = server.publish("a", "{}").await.event_id;
    let (seen, token) = next_attempt(&mut live).await;
    assert_eq!(seen, first);
    drop(live);
    let second = server.publish("a", "{}").await.event_id;
    receiver.wait_for(2).await;
    server.stop().await;

    let server = Process::start(folder.path()).await;
    let third = server.publish("a", "{}").await.event_id;
    receiver.wait_for(3).await;
    let mut resumed = tail(&server, Some(Start::ResumeToken(token))).await;
    assert_eq!(next_attempt(&mut resumed).await.0, second);
    assert_eq!(next_attempt(&mut resumed).await.0, third);
    drop(resumed);
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_closes_tails_with_a_token_and_is_bounded_whatever_clients_do() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, _| crate::support::Reply::Hang).await;
    let server = Process::start(folder.path()).await;
    let mut silent_subscription = subscription(receiver.url("/"), &[0]);
    silent_subscription.timeout = Some(prost_types::Duration {
        seconds: 60,
        nanos: 0,
    });
    server.subscribe(silent_subscription).await;
    server.publish("a", "{}").await;
    receiver.wait_for(1).await;
    let mut tail = tail(&server, None).await;
    let _silent = TcpStream::connect(&server.address).await.unwrap();
    let mut health = HealthClient::new(server.channel());
    let watched = HealthCheckRequest {
        service: "readiness".to_owned(),
    };
    let mut watch = health.watch(watched).await.unwrap().into_inner();
    let status = watch.message().await.unwrap().unwrap().status();
    assert_eq!(status, ServingStatus::Serving);

    let began = Instant::now();
    server.signal(rustix::process::Signal::TERM);
    let status = within("readiness to fall", watch.message()).await;
    assert_eq!(status.unwrap().unwrap().status(), ServingStatus::NotServing);
    let last = loop {
        let message = next(&mut tail).await;
        if !matches!(message.event, Some(Event::Heartbeat(_))) {
            break message;
        }
    };
    assert!(matches!(last.event, Some(Event::Closing(_))), "{last:?}");
    assert!(!last.resume_token.is_empty());
    let (status, log) = server.wait().await;
    assert!(status.success(), "{status}: {}", log.join("\n"));
    assert!(began.elapsed() < Duration::from_secs(10));

    // The interrupted attempt is no failure: it is due again.
    let server = Process::start(folder.path()).await;
    let requests = receiver.wait_for(2).await;
    assert_eq!(requests[1].header("webhook-attempt"), "1");
    server.kill().await;
}

#[tokio::test]
async fn a_call_that_runs_at_the_deadline_of_a_shutdown_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, _| crate::support::Reply::Hang).await;
    let deadline = [("POSTRIDER_SHUTDOWN_DEADLINE", "2s")];
    let server = Process::start_with(folder.path(), &deadline).await;
    let mut slow = subscription(receiver.url("/"), &[]);
    slow.timeout = Some(prost_types::Duration {
        seconds: 60,
        nanos: 0,
    });
    let id = server.subscribe(slow).await.id;
    let mut subscriptions = server.subscriptions();
    let test = tokio::spawn(async move {
        let request = TestSubscriptionRequest {
            id,
            event_type: String::new(),
        };
        subscriptions.test_subscription(request).await
    });
    receiver.wait_for(1).await;
    server.signal(rustix::process::Signal::TERM);
    let told = within("the end of the test", test).await.unwrap();
    let told = told.expect_err("nobody answered the test");
    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
    let details = told.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "UNAVAILABLE");
    assert!(details.retry_info().is_some());
    let (status, log) = server.wait().await;
    assert!(status.success(), "{status}: {}", log.join("\n"));
}
