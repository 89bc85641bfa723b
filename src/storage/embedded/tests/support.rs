//! A store in a directory of its own, and short ways to what goes into it.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tempfile::TempDir;

use super::super::{Adapter, OpenError, Settings, open};
use crate::{
    domain::{
        Attempt, AttemptId, Clock, ContentType, DeliveryId, Event, EventId, EventPatterns, Keyring,
        LiveSecrets, NewEvent, Next, Payload, Phases, RootKey, Secret, Subscription,
        SubscriptionId, SubscriptionSpec, TenantId, Timestamp, Trigger,
    },
    storage::{AcceptEvents, Accepted, AttemptRecord, Engine, PageRequest, Result, Routed},
};

/// 2024-01-15T10:00:00Z.
pub(super) const NOON: Timestamp = Timestamp::from_secs(1_705_312_800);

/// A clock that a test sets.
#[derive(Debug)]
pub(super) struct TestClock(AtomicU64);

impl TestClock {
    pub(super) fn at(time: Timestamp) -> Self {
        Self(time.as_micros().into())
    }

    pub(super) fn set(&self, time: Timestamp) {
        self.0.store(time.as_micros(), Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// A store that can be closed and opened again.
pub(super) struct Fixture {
    pub(super) dir: TempDir,
    pub(super) clock: Arc<TestClock>,
    pub(super) engine: Arc<dyn Engine>,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::at(NOON));
        let engine = try_open(&dir, &clock).await.unwrap();
        Self { dir, clock, engine }
    }

    pub(super) async fn reopen(&mut self) {
        self.engine.close().await;
        self.engine = try_open(&self.dir, &self.clock).await.unwrap();
    }
}

pub(super) async fn try_open(
    dir: &TempDir,
    clock: &Arc<TestClock>,
) -> Result<Arc<dyn Engine>, OpenError> {
    let settings = Settings {
        adapter: Adapter::Sled,
        dir: dir.path().join("data"),
        cache_bytes: Settings::DEFAULT_CACHE_BYTES,
        keyring: Keyring::new(&RootKey::generate([7; 32]), &[]),
    };
    open(settings, Arc::clone(clock) as Arc<dyn Clock>).await
}

pub(super) fn after(seconds: u64) -> Timestamp {
    NOON.after(Duration::from_secs(seconds))
}

pub(super) fn days_after(days: u64) -> Timestamp {
    NOON.after(Duration::from_hours(24 * days))
}

pub(super) fn tenant() -> &'static TenantId {
    static TENANT: LazyLock<TenantId> = LazyLock::new(TenantId::default);
    &TENANT
}

pub(super) fn page(size: usize) -> PageRequest {
    PageRequest { size, cursor: None }
}

/// The subscription with this number.
pub(super) fn sub(number: u128) -> SubscriptionId {
    SubscriptionId::new(NOON, number)
}

pub(super) fn subscription(number: u128) -> Subscription {
    let url = "https://client.example/hooks".parse().unwrap();
    let events = EventPatterns::new(vec!["*".parse().unwrap()]).unwrap();
    let secrets = LiveSecrets::new(Secret::generate([7; 32]));
    let spec = SubscriptionSpec::new(url, events);
    Subscription::new(sub(number), tenant().clone(), spec, secrets, NOON)
}

/// Stores subscriptions with the numbers up to this one.
pub(super) async fn subscribe(engine: &dyn Engine, count: u128) {
    for number in 1..=count {
        let created = engine
            .create_subscription(subscription(number), None, None)
            .await;
        created.unwrap();
    }
}

pub(super) fn payload(data: impl Into<Bytes>) -> Payload {
    Payload {
        data: data.into(),
        content_type: ContentType::default(),
    }
}

/// An event of this number, accepted then.
pub(super) fn event(number: u128, time: Timestamp) -> Event {
    let new = NewEvent {
        event_type: "order.shipped".parse().unwrap(),
        payload: payload("{\"n\":1}"),
        idempotency_key: None,
        ordering_key: None,
        attributes: crate::domain::Attributes::default(),
        deliver_after: None,
    };
    new.accept(EventId::new(time, number << 16), tenant().clone(), time)
}

pub(super) fn routed(event: Event, to: &[u128]) -> Routed {
    Routed {
        event: Arc::new(event),
        subscriptions: to.iter().copied().map(sub).collect(),
        trigger: Trigger::Event,
    }
}

pub(super) async fn accept(engine: &dyn Engine, events: Vec<Routed>) -> Result<Vec<Accepted>> {
    let call = AcceptEvents {
        tenant: tenant().clone(),
        routed_at: None,
        events,
    };
    engine.accept_events(call).await
}

/// Accepts an event and returns its first delivery.
pub(super) async fn deliver(engine: &dyn Engine, event: Event, to: &[u128]) -> DeliveryId {
    let id = event.id;
    accept(engine, vec![routed(event, to)]).await.unwrap();
    DeliveryId::new(id, 0)
}

/// The first attempt of a delivery to the subscription of this number.
pub(super) fn attempt(delivery: DeliveryId, number: u128) -> Attempt {
    Attempt {
        id: AttemptId::new(NOON, delivery.ordinal().into()),
        tenant: tenant().clone(),
        delivery_id: delivery,
        subscription_id: sub(number),
        event_type: "order.shipped".parse().unwrap(),
        trigger: Trigger::Event,
        number: 1,
        start_time: NOON,
        duration: Duration::from_nanos(12_345_678),
        phases: Phases {
            connect: Some(Duration::from_micros(250)),
            ..Phases::default()
        },
        error_kind: None,
        error_message: String::new(),
        response_status: Some(200),
        response_headers: vec![("x-own".to_owned(), "1".to_owned())],
        response_body: Bytes::from_static(b"ok"),
        response_body_truncated: false,
        peer_address: Some(([127, 0, 0, 1], 8080).into()),
        request_headers: vec![("webhook-id".to_owned(), delivery.event_id().to_string())],
        next_attempt_time: None,
    }
}

pub(super) fn succeeded(delivery: DeliveryId, number: u128) -> AttemptRecord {
    AttemptRecord {
        attempt: attempt(delivery, number),
        revision: 0,
        due: delivery.time(),
        next: Next::Succeed,
        now: after(1),
    }
}
