//! Attacks on HTTP/2: each is cut off, and others hardly notice.

pub mod raw;

use std::time::{Duration, Instant};

use postrider::proto::{Event, GetEventRequest, PublishEventRequest, event::Payload};
use tokio::io::AsyncWriteExt;
use tonic::{Code, Request, metadata::MetadataValue};
use tonic_types::StatusExt;

use self::raw::{
    CONTINUATION, DATA, END_STREAM, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM, Raw, SETTINGS,
    WINDOW_UPDATE, frame, headers,
};
use crate::support::{PATIENCE, Process, eventually, within};

/// What an attack may cost in memory.
const MEMORY: u64 = 64 * 1024 * 1024;
/// What a call may take during an attack, on a machine that is busy.
const LATENCY: Duration = Duration::from_secs(10);

/// Floods the server by some connections while somebody else publishes; they
/// have to be closed.
async fn attack(pieces: impl Fn(u32) -> Vec<u8> + Clone + Send + Sync + 'static) {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    for _ in 0..50 {
        server.publish("a", "{}").await;
    }
    let before = server.peak_memory();
    let address = server.address.clone();
    let attacks = tokio::spawn(async move {
        let one = || async {
            let raw = Raw::open(&address).await;
            assert!(raw.flood(PATIENCE, pieces.clone()).await, "it goes on");
        };
        tokio::join!(one(), one(), one());
    });
    let mut slowest = Duration::ZERO;
    while !attacks.is_finished() {
        let began = Instant::now();
        server.publish("a", "{}").await;
        slowest = slowest.max(began.elapsed());
    }
    attacks.await.unwrap();
    server.publish("a", "{}").await;
    assert!(slowest < LATENCY, "{slowest:?}");
    let grown = server.peak_memory().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes");
    server.stop().await;
}

/// The id of the n-th stream of a client.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

#[tokio::test]
async fn streams_that_are_reset_at_once_are_cut_off() {
    attack(|n| {
        let reset = frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes());
        [headers(stream(n), END_STREAM), reset].concat()
    })
    .await;
}

#[tokio::test]
async fn streams_that_the_server_is_made_to_reset_are_cut_off() {
    attack(|n| {
        // An increment of zero is an error of the stream.
        let wrong = frame(WINDOW_UPDATE, 0, stream(n), &0_u32.to_be_bytes());
        [headers(stream(n), END_STREAM), wrong].concat()
    })
    .await;
}

#[tokio::test]
async fn streams_beyond_those_allowed_are_cut_off() {
    attack(|n| headers(stream(n), 0)).await;
}

#[tokio::test]
async fn headers_without_an_end_are_cut_off() {
    attack(|n| match n {
        0 => frame(HEADERS, END_STREAM, 1, &raw::block()),
        _ => frame(CONTINUATION, 0, 1, &[0, 1, b'a', 1, b'b']),
    })
    .await;
}

#[tokio::test]
async fn pings_without_an_end_are_cut_off() {
    attack(|_| frame(PING, 0, 0, &[0; 8])).await;
}

#[tokio::test]
async fn settings_without_an_end_are_cut_off() {
    attack(|_| frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])).await;
}

#[tokio::test]
async fn priorities_without_an_end_are_cut_off() {
    attack(|n| frame(PRIORITY, 0, stream(n), &[0, 0, 0, 0, 1])).await;
}

#[tokio::test]
async fn empty_frames_without_an_end_are_cut_off() {
    attack(|n| match n {
        0 => headers(1, 0),
        _ => frame(DATA, 0, 1, &[]),
    })
    .await;
}

#[tokio::test]
async fn a_length_that_is_only_said_takes_no_memory() {
    const SAID: u32 = 4_000_000;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    server.publish("a", "{}").await;
    let before = server.peak_memory();
    let mut open = Vec::new();
    for path in [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/postrider.v1.EventService/PublishEvent",
        "/postrider.v1.EventService/GetEvent",
        "/postrider.v1.EventService/StreamPublishEvents",
        "/postrider.v1.DeliveryService/TailDeliveries",
    ] {
        let mut raw = Raw::open(&server.address).await;
        for n in 0..60 {
            let begin = [&[0][..], &SAID.to_be_bytes()].concat();
            let call = [
                raw::headers_of(path, stream(n), 0),
                frame(DATA, 0, stream(n), &begin),
            ];
            raw.write.write_all(&call.concat()).await.unwrap();
        }
        open.push(raw);
    }
    for _ in 0..100 {
        server.publish("a", "{}").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let grown = server.peak_memory() - before;
    assert!(grown < MEMORY, "{grown} bytes");
    drop(open);
    server.stop().await;
}

#[tokio::test]
async fn a_header_list_that_is_too_long_is_refused_and_the_connection_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    server.publish("a", "{}").await;
    let mut request = Request::new(GetEventRequest::default());
    let long = MetadataValue::try_from("x".repeat(20 * 1024)).unwrap();
    request.metadata_mut().insert("x-long", long);
    let refused = server.events().get_event(request).await.unwrap_err();
    assert_ne!(refused.code(), Code::Ok);
    server.publish("a", "{}").await;
    server.stop().await;
}

/// Each of these takes its time: they run side by side.
#[tokio::test]
async fn a_connection_on_which_nothing_happens_is_closed() {
    const LONGEST: Duration = Duration::from_mins(2);
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let address = server.address.as_str();
    let silent = async {
        Raw::silent(address).await.closed().await;
    };
    let only_preface = async {
        let mut raw = Raw::silent(address).await;
        raw.write.write_all(PREFACE).await.unwrap();
        raw.closed().await;
    };
    let half_a_preface = async {
        let mut raw = Raw::silent(address).await;
        raw.write.write_all(&PREFACE[..10]).await.unwrap();
        raw.closed().await;
    };
    let answers_no_ping = async {
        Raw::open(address).await.closed().await;
    };
    let drips_headers = async {
        let mut raw = Raw::open(address).await;
        let block = raw::block();
        raw.write
            .write_all(&frame(HEADERS, END_STREAM, 1, &block))
            .await
            .unwrap();
        let drip = async {
            let byte = frame(CONTINUATION, 0, 1, &[]);
            while raw.write.write_all(&byte).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        drip.await;
    };
    let reads_nothing = async {
        let mut raw = Raw::open(address).await;
        let pings = frame(PING, 0, 0, &[0; 8]).repeat(100);
        loop {
            let sent = tokio::time::timeout(LONGEST, raw.write.write_all(&pings)).await;
            if sent.expect("the server closes the connection").is_err() {
                break;
            }
            // Slower than what is cut off as a flood.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let all = async {
        tokio::join!(
            silent,
            only_preface,
            half_a_preface,
            answers_no_ping,
            drips_headers,
            reads_nothing
        )
    };
    let closed = tokio::time::timeout(LONGEST, all).await;
    closed.expect("every connection is closed");
    server.publish("a", "{}").await;
    server.stop().await;
}

#[tokio::test]
async fn one_address_gets_no_more_connections_than_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let limit = [("POSTRIDER_SERVER_MAX_CONNECTIONS_PER_ADDRESS", "2")];
    let server = Process::start_with(folder.path(), &limit).await;
    server.publish("a", "{}").await;
    let second = Raw::open(&server.address).await;
    let mut third = Raw::open(&server.address).await;
    within("the third to be closed", third.closed()).await;
    server.publish("a", "{}").await;
    drop(second);
    eventually("a free place", async || {
        let mut raw = Raw::open(&server.address).await;
        let closed = tokio::time::timeout(Duration::from_millis(100), raw.closed());
        closed.await.is_err().then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_does_not_come_takes_no_place_among_the_calls() {
    let folder = tempfile::tempdir().unwrap();
    let limit = [("POSTRIDER_SERVER_MAX_CALLS", "1")];
    let server = Process::start_with(folder.path(), &limit).await;
    let mut raw = Raw::open(&server.address).await;
    for n in 0..50 {
        let begun = [
            headers(stream(n), 0),
            frame(DATA, 0, stream(n), &[0, 0, 0, 0, 9]),
        ];
        raw.write.write_all(&begun.concat()).await.unwrap();
    }
    let ping = frame(PING, 0, 0, &[7; 8]);
    raw.write.write_all(&ping).await.unwrap();
    server.publish("a", "{}").await;
    server.stop().await;
}

#[tokio::test]
async fn a_connection_outlives_any_number_of_refused_calls() {
    let folder = tempfile::tempdir().unwrap();
    let limits = [
        ("POSTRIDER_SERVER_MAX_CALLS", "1"),
        ("POSTRIDER_SERVER_MAX_REQUEST_MEMORY", "128MiB"),
    ];
    let server = Process::start_with(folder.path(), &limits).await;
    let large = "x".repeat(200 * 1024);
    let json = format!("{{\"text\":\"{large}\"}}");
    let mut refused = 0;
    for _ in 0..20 {
        let calls = (0..20).map(|_| {
            let mut events = server.events();
            let request = publish_request(&json);
            tokio::spawn(async move { events.publish_event(request).await })
        });
        for call in calls.collect::<Vec<_>>() {
            if let Err(status) = call.await.unwrap() {
                let details = status.get_error_details();
                let reason = details.error_info().map(|info| info.reason.as_str());
                assert_eq!(reason, Some("OVERLOADED"), "{status}");
                refused += 1;
            }
        }
    }
    assert!(refused > 64, "{refused}");
    server.stop().await;
}

fn publish_request(json: &str) -> PublishEventRequest {
    PublishEventRequest {
        event: Some(Event {
            r#type: "a".to_owned(),
            payload: Some(Payload::Data(json.to_owned().into())),
            ..Default::default()
        }),
    }
}
