//! What was acknowledged arrives, whatever happens to the process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use postrider::proto::{Event, PublishEventRequest, event};
use tokio::task::JoinSet;

use crate::support::{Process, Receiver, Reply, eventually, process::subscription};

const KILLS: usize = 5;
const PRODUCERS: usize = 16;

type Ledger = Arc<Mutex<HashMap<String, Bytes>>>;

/// Publishes until the server is gone, and notes what was acknowledged.
async fn publish_until_killed(server: &Process, producer: usize, ledger: &Ledger) {
    let mut events = server.events();
    for n in 0.. {
        let filler = "x".repeat(n * 37 % 3_000);
        let data = Bytes::from(format!(
            r#"{{"producer":{producer},"n":{n},"x":"{filler}"}}"#
        ));
        let request = PublishEventRequest {
            event: Some(Event {
                r#type: "load.made".to_owned(),
                payload: Some(event::Payload::Data(data.clone())),
                ..Default::default()
            }),
        };
        let Ok(reply) = events.publish_event(request).await else {
            return;
        };
        let id = reply.into_inner().event_id;
        assert!(ledger.lock().unwrap().insert(id, data).is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_event_arrives_though_the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, n| Reply::status(if n % 7 == 0 { 500 } else { 200 })).await;
    let ledger = Ledger::default();
    for kill in 0..KILLS {
        let server = Arc::new(Process::start(folder.path()).await);
        if kill == 0 {
            let delays = [50; 20];
            server
                .subscribe(subscription(receiver.url("/"), &delays))
                .await;
        }
        let before = ledger.lock().unwrap().len();
        let mut producers = JoinSet::new();
        for producer in 0..PRODUCERS {
            let (server, ledger) = (server.clone(), ledger.clone());
            producers.spawn(async move { publish_until_killed(&server, producer, &ledger).await });
        }
        // In the middle of load: other work is under way at any moment.
        eventually("load", async || {
            (ledger.lock().unwrap().len() > before + 300 * (kill + 1)).then_some(())
        })
        .await;
        server.signal(rustix::process::Signal::KILL);
        while producers.join_next().await.is_some() {}
        Arc::into_inner(server)
            .expect("producers ended")
            .wait()
            .await;
    }

    let server = Process::start(folder.path()).await;
    let acknowledged = ledger.lock().unwrap().clone();
    eventually("every acknowledged event", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let requests = receiver.received();
        let ids: std::collections::HashSet<_> = requests
            .iter()
            .map(|request| request.header("webhook-id"))
            .collect();
        acknowledged
            .keys()
            .all(|id| ids.contains(id.as_str()))
            .then_some(())
    })
    .await;
    for request in receiver.received() {
        if let Some(data) = acknowledged.get(request.header("webhook-id")) {
            let tail = [b",\"data\":".as_slice(), data, b"}"].concat();
            assert!(request.body.ends_with(&tail), "bytes changed");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_retry_that_was_due_while_the_server_was_down_happens_after_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, n| Reply::status(if n == 0 { 500 } else { 200 })).await;
    let server = Process::start(folder.path()).await;
    server
        .subscribe(subscription(receiver.url("/"), &[500]))
        .await;
    let published = server.publish("a", "{}").await;
    receiver.wait_for(1).await;
    server.stop().await;

    let server = Process::start(folder.path()).await;
    let requests = receiver.wait_for(2).await;
    assert_eq!(requests[1].header("webhook-id"), published.event_id);
    server.stop().await;
}
