//! What is asked of an engine while it is measured.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use postrider::{
    domain::{
        Attempt, AttemptId, Attributes, Clock, ContentType, DeliveryId, EventId, NewEvent, Next,
        Payload, Phases, SubscriptionId, TenantId, Timestamp, Trigger,
    },
    storage::{AcceptEvents, AttemptRecord, Engine, Routed},
};
use tokio::{task::JoinSet, time::sleep};

use crate::{MEASURED, PRODUCERS, WARM_UP};

/// 2024-01-15T10:00:00Z.
const START: Timestamp = Timestamp::from_secs(1_705_312_800);

/// A clock that goes on from a fixed time.
#[derive(Debug)]
pub struct MonotonicClock(Instant);

impl Default for MonotonicClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Timestamp {
        START.after(self.0.elapsed())
    }
}

/// What an engine did.
pub struct Load {
    pub per_second: f64,
    /// All events, those of the warm-up too.
    pub events: f64,
}

/// Every producer publishes one event at a time; with `complete` it records the
/// event's first attempt before it goes on.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 events")]
pub async fn put_on(engine: &Arc<dyn Engine>, clock: &Arc<MonotonicClock>, complete: bool) -> Load {
    let done = Arc::new(AtomicU64::new(0));
    let mut producers = JoinSet::new();
    for producer in 0..PRODUCERS {
        let (engine, clock) = (Arc::clone(engine), Arc::clone(clock));
        let done = Arc::clone(&done);
        producers.spawn(async move {
            for number in 0.. {
                let bits = u128::from(number * PRODUCERS + producer) << 16;
                let delivery = accept(&*engine, EventId::new(clock.now(), bits)).await;
                if complete {
                    let record = succeeded(delivery, clock.now());
                    engine.record_attempts(vec![record]).await.unwrap();
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    sleep(WARM_UP).await;
    let before = done.load(Ordering::Relaxed);
    sleep(MEASURED).await;
    let count = done.load(Ordering::Relaxed) - before;
    producers.shutdown().await;
    Load {
        per_second: count as f64 / MEASURED.as_secs_f64(),
        events: done.load(Ordering::Relaxed) as f64,
    }
}

async fn accept(engine: &dyn Engine, id: EventId) -> DeliveryId {
    let tenant = TenantId::default();
    let new = NewEvent {
        event_type: "order.shipped".parse().unwrap(),
        payload: payload(id),
        idempotency_key: None,
        ordering_key: None,
        attributes: Attributes::default(),
        deliver_after: None,
    };
    let event = new.accept(id, tenant.clone(), id.time());
    let routed = Routed {
        event: Arc::new(event),
        subscriptions: vec![subscription()],
        trigger: Trigger::Event,
    };
    let call = AcceptEvents {
        tenant,
        routed_at: None,
        events: vec![routed],
    };
    engine.accept_events(call).await.unwrap();
    DeliveryId::new(id, 0)
}

/// 512 bytes that no two events share.
fn payload(id: EventId) -> Payload {
    let mut data = Vec::with_capacity(512);
    let mut word = id.to_bytes().iter().fold(7_u64, |word, byte| {
        word.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte)
    });
    while data.len() < 512 {
        word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        write!(data, "{word:016x}").expect("a vector takes every byte");
    }
    Payload {
        data: Bytes::from(data),
        content_type: ContentType::default(),
    }
}

fn subscription() -> SubscriptionId {
    SubscriptionId::new(START, 1)
}

fn succeeded(delivery: DeliveryId, now: Timestamp) -> AttemptRecord {
    let attempt = Attempt {
        id: AttemptId::new(now, u128::from_be_bytes(delivery.to_bytes())),
        tenant: TenantId::default(),
        delivery_id: delivery,
        subscription_id: subscription(),
        event_type: "order.shipped".parse().unwrap(),
        trigger: Trigger::Event,
        number: 1,
        start_time: now,
        duration: Duration::from_micros(900),
        phases: Phases::default(),
        error_kind: None,
        error_message: String::new(),
        response_status: Some(200),
        response_headers: vec![("content-length".to_owned(), "2".to_owned())],
        response_body: Bytes::from_static(b"ok"),
        response_body_truncated: false,
        peer_address: Some(([127, 0, 0, 1], 8080).into()),
        request_headers: vec![("webhook-id".to_owned(), delivery.event_id().to_string())],
        next_attempt_time: None,
    };
    AttemptRecord {
        attempt,
        revision: 0,
        due: delivery.time(),
        next: Next::Succeed,
        now,
    }
}
