//! What seeds have found, each by itself.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use postrider::{
    control::CreateSubscription,
    dispatch::{Failure, Received, Request, Settings, Transport, start},
    domain::{
        Attributes, ContentType, ErrorKind, EventPatterns, NewEvent, Payload, SubscriptionSpec,
        TenantId,
    },
    storage::embedded::{Disk, Threads, open_in_memory},
};
use tokio::time::{Instant, sleep};

use super::{clock::Clocks, dice::SeededRandom, scene::control};

/// An endpoint that fails after a while and notes when it was called.
#[derive(Default)]
struct Failing(Mutex<Vec<Instant>>);

const TAKES: Duration = Duration::from_millis(750);

#[async_trait]
impl Transport for Failing {
    async fn send(&self, _: Request) -> Received {
        self.0.lock().push(Instant::now());
        sleep(TAKES).await;
        Received::failed(Failure {
            kind: ErrorKind::Reset,
            message: String::new(),
        })
    }
}

fn event() -> NewEvent {
    let data = Bytes::from_static(b"{}");
    NewEvent {
        event_type: "order.shipped".parse().unwrap(),
        payload: Payload::new(data, ContentType::default()).unwrap(),
        idempotency_key: None,
        ordering_key: None,
        attributes: Attributes::default(),
        deliver_after: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_waits_its_whole_pause_though_the_scheduler_slept() {
    let clock = Arc::new(Clocks::default());
    clock.begin();
    let random = Arc::new(SeededRandom::new(0));
    let store = open_in_memory(&Disk::default(), Threads::Callers, clock.clone()).await;
    let store = store.unwrap();
    let endpoint = Arc::new(Failing::default());
    let dispatcher = start(
        store.clone(),
        endpoint.clone(),
        clock.clone(),
        random.clone(),
        Settings::default(),
    );
    let control = control(store, clock, random);
    let tenant = TenantId::default();
    let patterns = EventPatterns::new(vec!["*".parse().unwrap()]).unwrap();
    let create = CreateSubscription {
        spec: SubscriptionSpec::new("https://8.8.8.8/".parse().unwrap(), patterns),
        secret: None,
        signing_key: None,
        request_id: None,
        validate_only: false,
    };
    control.create_subscription(&tenant, create).await.unwrap();
    for _ in 0..6 {
        control.publish(&tenant, event()).await.unwrap();
        sleep(Duration::from_millis(950)).await;
    }
    sleep(Duration::from_secs(40)).await;
    let calls = endpoint.0.lock().clone();
    // The fifth failure opens the breaker.
    let pause = calls[5] - (calls[4] + TAKES);
    assert!(pause >= Duration::from_secs(30), "{pause:?}");
    drop(dispatcher);
}
