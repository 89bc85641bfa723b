//! Short ways to what goes into a store.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use postrider::{
    domain::{
        Attempt, AttemptId, Attributes, ContentType, DeliveryId, ErrorKind, Event, EventId,
        EventPatterns, LiveSecrets, NewEvent, Next, Payload, Phases, Secret, Subscription,
        SubscriptionId, SubscriptionSpec, TenantId, Timestamp, Trigger,
    },
    storage::{
        AcceptEvents, Accepted, AttemptRecord, Engine, LogPosition, Page, PageRequest, Result,
        Routed,
    },
};

pub use super::fixture::NOON;

/// How long an idempotency key is remembered.
pub const SEVEN_DAYS: Duration = Duration::from_hours(7 * 24);

pub fn after(seconds: u64) -> Timestamp {
    NOON.after(Duration::from_secs(seconds))
}

pub fn days_after(days: u64) -> Timestamp {
    NOON.after(Duration::from_hours(24 * days))
}

pub fn tenant() -> &'static TenantId {
    static TENANT: LazyLock<TenantId> = LazyLock::new(TenantId::default);
    &TENANT
}

pub fn page(size: usize) -> PageRequest {
    PageRequest { size, cursor: None }
}

/// Everything that a list shows, in pages of this size.
pub async fn every_page<T, F>(size: usize, list: impl Fn(PageRequest) -> F) -> Vec<T>
where
    F: Future<Output = Result<Page<T>>>,
{
    let mut seen = Vec::new();
    let mut request = page(size);
    loop {
        let page = list(request).await.unwrap();
        assert!(page.items.len() <= size);
        seen.extend(page.items);
        let Some(cursor) = page.next else {
            return seen;
        };
        request = PageRequest {
            size,
            cursor: Some(cursor),
        };
    }
}

/// The whole log after a position, read a few attempts at a time.
pub async fn read_all(
    engine: &dyn Engine,
    mut after: LogPosition,
) -> Vec<(LogPosition, Arc<Attempt>)> {
    let mut all = Vec::new();
    loop {
        let slice = engine.read_log(after, 3).await.unwrap();
        let Some((last, _)) = slice.attempts.last() else {
            return all;
        };
        after = *last;
        all.extend(slice.attempts);
    }
}

/// The subscription with this number.
pub fn sub(number: u128) -> SubscriptionId {
    SubscriptionId::new(NOON, number)
}

pub fn subscription(number: u128) -> Subscription {
    let url = "https://client.example/hooks".parse().unwrap();
    let events = EventPatterns::new(vec!["*".parse().unwrap()]).unwrap();
    let secrets = LiveSecrets::new(Secret::generate([7; 32]));
    let spec = SubscriptionSpec::new(url, events);
    Subscription::new(sub(number), tenant().clone(), spec, secrets, NOON)
}

/// Stores subscriptions with the numbers up to this one.
pub async fn subscribe(engine: &dyn Engine, count: u128) {
    for number in 1..=count {
        let created = engine
            .create_subscription(subscription(number), None, None)
            .await;
        created.unwrap();
    }
}

pub fn ordered(number: u128, time: Timestamp, ordering_key: &str) -> Event {
    Event {
        ordering_key: Some(ordering_key.to_owned()),
        ..event(number, time)
    }
}

pub fn payload(data: impl Into<Bytes>) -> Payload {
    Payload {
        data: data.into(),
        content_type: ContentType::default(),
    }
}

/// An event of this number, accepted then.
pub fn new_event() -> NewEvent {
    NewEvent {
        event_type: "order.shipped".parse().unwrap(),
        payload: payload("{\"n\":1}"),
        idempotency_key: None,
        ordering_key: None,
        attributes: Attributes::default(),
        deliver_after: None,
    }
}

pub fn event(number: u128, time: Timestamp) -> Event {
    new_event().accept(EventId::new(time, number << 16), tenant().clone(), time)
}

pub fn routed(event: Event, to: &[u128]) -> Routed {
    Routed {
        event: Arc::new(event),
        subscriptions: to.iter().copied().map(sub).collect(),
        trigger: Trigger::Event,
    }
}

pub async fn accept(engine: &dyn Engine, events: Vec<Routed>) -> Result<Vec<Accepted>> {
    let call = AcceptEvents {
        tenant: tenant().clone(),
        routed_at: None,
        events,
    };
    engine.accept_events(call).await
}

/// Accepts an event and returns its first delivery.
pub async fn deliver(engine: &dyn Engine, event: Event, to: &[u128]) -> DeliveryId {
    let id = event.id;
    accept(engine, vec![routed(event, to)]).await.unwrap();
    DeliveryId::new(id, 0)
}

/// The first attempt of a delivery to the subscription of this number.
pub fn attempt(delivery: DeliveryId, number: u128) -> Attempt {
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

pub fn succeeded(delivery: DeliveryId, number: u128) -> AttemptRecord {
    AttemptRecord {
        attempt: attempt(delivery, number),
        revision: 0,
        due: delivery.time(),
        next: Next::Succeed,
        now: after(1),
    }
}

/// A failure after which the delivery is tried again.
pub fn failed(delivery: DeliveryId, number: u128, retry: Timestamp) -> AttemptRecord {
    AttemptRecord {
        attempt: Attempt {
            error_kind: Some(ErrorKind::Status),
            error_message: "status 500".to_owned(),
            response_status: Some(500),
            next_attempt_time: Some(retry),
            ..attempt(delivery, number)
        },
        revision: 0,
        due: delivery.time(),
        next: Next::RetryAt(retry),
        now: after(1),
    }
}
