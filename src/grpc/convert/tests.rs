//! What requests may hold, and how each wrong field is named.

use proptest::prelude::*;
use prost_types::{Duration, FieldMask, ListValue, Timestamp as Time, Value, value::Kind};

use super::{event, filter, subscription, tail};
use crate::{
    control::{Error, Limits},
    domain::Timestamp,
    proto::{
        BatchPublishEventsRequest, CreateSubscriptionRequest, DeliveryFilter, Event,
        ExponentialBackoff, ListAttemptsRequest, ListDeliveriesRequest, RateLimit, RetryDelays,
        RetryPolicy, Subscription, TailDeliveriesRequest, UpdateSubscriptionRequest,
        event::Payload, retry_policy::Schedule,
    },
};

const NOW: Timestamp = Timestamp::from_secs(1_705_312_800);

/// The fields that are wrong, in order.
fn wrong<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    match result.unwrap_err() {
        Error::Invalid(violations) => violations.into_iter().map(|wrong| wrong.field).collect(),
        Error::PayloadTooLarge { field, .. } => vec![field],
        other => panic!("{other:?}"),
    }
}

fn valid_subscription() -> Subscription {
    Subscription {
        url: "https://client.example/hooks".to_owned(),
        events: vec!["order.*".to_owned()],
        ..Default::default()
    }
}

fn valid_event() -> Event {
    Event {
        r#type: "order.shipped".to_owned(),
        payload: Some(Payload::Data("{}".into())),
        ..Default::default()
    }
}

fn create(subscription: Subscription) -> CreateSubscriptionRequest {
    CreateSubscriptionRequest {
        subscription: Some(subscription),
        ..Default::default()
    }
}

fn update(subscription: Subscription, paths: &[&str]) -> UpdateSubscriptionRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    UpdateSubscriptionRequest {
        subscription: Some(Subscription {
            id: "sub_00000000000000000000000000".to_owned(),
            ..subscription
        }),
        update_mask: Some(FieldMask { paths }),
        validate_only: false,
    }
}

#[test]
fn every_wrong_field_of_a_subscription_is_named_at_once() {
    let long = |n: usize| "x".repeat(n);
    let request = CreateSubscriptionRequest {
        subscription: Some(Subscription {
            url: "ftp://client.example".to_owned(),
            events: vec!["order.*".to_owned(), "a..b".to_owned()],
            secret: "short".to_owned(),
            signing_key: "short".to_owned(),
            description: long(1_025),
            headers: [("Host".to_owned(), "x".to_owned())].into(),
            labels: [(String::new(), String::new())].into(),
            retry_policy: Some(RetryPolicy {
                max_age: Some(Duration {
                    seconds: -1,
                    nanos: 0,
                }),
                schedule: Some(Schedule::Delays(RetryDelays {
                    delays: vec![
                        Duration::default(),
                        Duration {
                            seconds: 0,
                            nanos: -1,
                        },
                    ],
                })),
                ..Default::default()
            }),
            timeout: Some(Duration {
                seconds: 61,
                nanos: 0,
            }),
            max_in_flight: 1_025,
            rate_limit: Some(RateLimit::default()),
            payload_format: 5,
            signature_schemes: vec![1, 0, 9],
            filter: "x".to_owned(),
            ..Default::default()
        }),
        request_id: long(129),
        validate_only: false,
    };
    insta::assert_snapshot!(wrong(subscription::from_create(request)).join("\n"), @"
    request_id
    subscription.secret
    subscription.signing_key
    subscription.url
    subscription.events[1]
    subscription.description
    subscription.headers
    subscription.labels
    subscription.retry_policy.delays.delays[1]
    subscription.retry_policy.max_age
    subscription.timeout
    subscription.max_in_flight
    subscription.rate_limit.per_second
    subscription.payload_format
    subscription.signature_schemes[1]
    subscription.signature_schemes[2]
    subscription.filter
    ");
}

#[test]
fn every_wrong_field_of_an_event_is_named_at_once() {
    let event = Event {
        r#type: "order shipped".to_owned(),
        payload: Some(Payload::Data("{".into())),
        idempotency_key: "x".repeat(256),
        ordering_key: "x".repeat(256),
        attributes: [(String::new(), String::new())].into(),
        deliver_after: Some(Time {
            seconds: -1,
            nanos: 0,
        }),
        ..Default::default()
    };
    let fields = [
        "type",
        "data",
        "idempotency_key",
        "ordering_key",
        "attributes",
        "deliver_after",
    ];
    let published = event::from_publish(Some(event.clone()), Limits::default(), NOW);
    assert_eq!(wrong(published), fields.map(|name| format!("event.{name}")));
    let batch = BatchPublishEventsRequest {
        events: vec![valid_event(), event],
    };
    let batch = event::from_batch(batch, Limits::default(), NOW);
    assert_eq!(wrong(batch), fields.map(|name| format!("events[1].{name}")));
}

#[test]
fn an_event_needs_a_payload_and_a_batch_events() {
    let limits = Limits::default();
    let event = Event {
        payload: None,
        ..valid_event()
    };
    let published = event::from_publish(Some(event), limits, NOW);
    assert_eq!(wrong(published), ["event.data"]);
    assert_eq!(wrong(event::from_publish(None, limits, NOW)), ["event"]);
    let empty = BatchPublishEventsRequest::default();
    assert_eq!(wrong(event::from_batch(empty, limits, NOW)), ["events"]);
}

#[test]
fn payloads_are_measured_as_they_are_delivered() {
    let limits = Limits {
        max_payload_bytes: 100,
        max_batch_bytes: 150,
        ..Limits::default()
    };
    let text = |kind: fn(String) -> Payload, n| Event {
        payload: Some(kind("\u{1}".repeat(n))),
        ..valid_event()
    };
    let json: fn(String) -> Payload = |text| {
        let kind = Some(Kind::StringValue(text));
        Payload::Json(Value { kind })
    };
    let one = |event| event::from_publish(Some(event), limits, NOW);
    // As JSON each of these characters takes six bytes.
    assert_eq!(one(text(json, 16)).unwrap().payload.data.len(), 98);
    assert_eq!(wrong(one(text(json, 17))), ["event.json"]);
    let data: fn(String) -> Payload = |text| Payload::Data(text.into());
    assert_eq!(wrong(one(text(data, 101))), ["event.data"]);
    let batch = BatchPublishEventsRequest {
        events: vec![text(json, 16), text(json, 16)],
    };
    assert_eq!(wrong(event::from_batch(batch, limits, NOW)), ["events"]);
}

#[test]
fn a_mask_names_fields_that_can_change() {
    let changed = subscription::from_update(update(valid_subscription(), &["description"]));
    let patch = changed.unwrap().patch;
    assert_eq!(patch.description, Some(String::new()));
    assert_eq!(patch.url, None);

    let refused = |paths: &[&str]| {
        wrong(subscription::from_update(update(
            valid_subscription(),
            paths,
        )))
    };
    assert_eq!(refused(&[]), ["update_mask"]);
    assert_eq!(refused(&["url", "state", "colour"]), ["update_mask"; 2]);
}

#[test]
fn an_update_does_not_pass_over_a_secret() {
    let mut given = valid_subscription();
    (given.secret, given.signing_key) = ("x".repeat(24), "x".repeat(24));
    let refused = wrong(subscription::from_update(update(given, &["*"])));
    assert_eq!(refused, ["subscription.secret", "subscription.signing_key"]);
}

#[test]
fn a_filter_says_where_it_does_not_fit() {
    let given = DeliveryFilter {
        subscription_id: "sub_1".to_owned(),
        event_types: vec!["*".to_owned(), "?".to_owned()],
        states: vec![1],
        status_classes: vec![2, 6],
        error_kinds: vec![0],
        start_time: Some(Time {
            seconds: 2,
            nanos: 0,
        }),
        end_time: Some(Time {
            seconds: 1,
            nanos: 0,
        }),
        ..Default::default()
    };
    let attempts = filter::from_list_attempts(ListAttemptsRequest {
        page_size: -1,
        filter: Some(given.clone()),
        ..Default::default()
    });
    insta::assert_snapshot!(wrong(attempts).join("\n"), @"
    page_size
    filter.states
    filter.subscription_id
    filter.event_types[1]
    filter.status_classes[1]
    filter.error_kinds[0]
    filter.end_time
    ");
    let tail = tail::from_tail(TailDeliveriesRequest {
        filter: Some(DeliveryFilter {
            start_time: given.start_time,
            ..Default::default()
        }),
        heartbeat_interval: Some(Duration {
            seconds: 61,
            nanos: 0,
        }),
        start: None,
    });
    assert_eq!(wrong(tail), ["heartbeat_interval", "filter.start_time"]);
}

#[test]
fn a_list_of_too_many_values_is_refused_as_one() {
    let mut given = valid_subscription();
    given.events = vec!["?".to_owned(); 10_000];
    let refused = wrong(subscription::from_create(create(given)));
    assert_eq!(refused, ["subscription.events"]);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "\\PC{0,40}",
        "[a-z]{1,3}(\\.[a-z*]{1,3}){0,2}",
        "https?://[a-z]{1,5}\\.example/",
        "(sub|evt|dlv)_[0-9a-z]{26}",
    ]
}

prop_compose! {
    fn duration()(seconds in prop_oneof![-2..90_i64, any::<i64>()], nanos in prop_oneof![Just(0), any::<i32>()])
        -> Duration { Duration { seconds, nanos } }
}

prop_compose! {
    fn time()(seconds: i64, nanos: i32) -> Time { Time { seconds, nanos } }
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let delays = prop::collection::vec(duration(), 0..60);
    let backoff = (duration(), any::<f64>(), duration(), any::<u32>());
    prop_oneof![
        delays.prop_map(|delays| Schedule::Delays(RetryDelays { delays })),
        backoff.prop_map(|(first, factor, cap, attempts)| {
            let (first, cap) = (Some(first), Some(cap));
            Schedule::Exponential(ExponentialBackoff {
                first,
                factor,
                cap,
                attempts,
            })
        }),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(None),
        any::<i32>().prop_map(|n| Some(Kind::NullValue(n))),
        any::<f64>().prop_map(|n| Some(Kind::NumberValue(n))),
        text().prop_map(|text| Some(Kind::StringValue(text))),
    ];
    let value = |kind| Value { kind };
    leaf.prop_map(value).prop_recursive(4, 20, 4, move |inner| {
        let values = prop::collection::vec(inner, 0..4);
        values.prop_map(move |values| value(Some(Kind::ListValue(ListValue { values }))))
    })
}

prop_compose! {
    fn any_subscription()(
        texts in prop::array::uniform5(text()),
        events in prop::collection::vec(text(), 0..4),
        headers in prop::collection::hash_map(text(), text(), 0..3),
        schedule in prop::option::of(schedule()),
        jitter: Option<f64>,
        durations in prop::array::uniform2(prop::option::of(duration())),
        numbers: (u32, i32, Vec<i32>),
    ) -> Subscription {
        let [id, url, secret, description, etag] = texts;
        let [max_age, timeout] = durations;
        let (max_in_flight, payload_format, signature_schemes) = numbers;
        let retry_policy = Some(RetryPolicy { jitter, max_age, schedule });
        let labels = headers.clone();
        Subscription {
            id, url, secret, description, etag, events, headers, labels, retry_policy, timeout,
            max_in_flight, payload_format, signature_schemes, ..Default::default()
        }
    }
}

proptest! {
    #[test]
    fn no_subscription_panics(given in any_subscription(), paths in prop::collection::vec(text(), 0..3)) {
        let _ = subscription::from_create(create(given.clone()));
        let update_mask = Some(FieldMask { paths });
        let _ = subscription::from_update(UpdateSubscriptionRequest {
            subscription: Some(given),
            update_mask,
            validate_only: false,
        });
    }

    #[test]
    fn what_is_accepted_of_any_json_is_json(value in json(), event_type in text(), at in time()) {
        let given = Event {
            r#type: event_type,
            payload: Some(Payload::Json(value)),
            deliver_after: Some(at),
            ..Default::default()
        };
        if let Ok(event) = event::from_publish(Some(given), Limits::default(), NOW) {
            let data = event.payload.data;
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&data).is_ok());
        }
    }

    #[test]
    fn no_filter_panics(
        ids in prop::array::uniform3(text()),
        event_types in prop::collection::vec(text(), 0..3),
        numbers: (Vec<i32>, Vec<u32>, Vec<i32>),
        times in prop::array::uniform2(prop::option::of(time())),
        page_size: i32,
    ) {
        let [subscription_id, event_id, delivery_id] = ids;
        let (states, status_classes, error_kinds) = numbers;
        let [start_time, end_time] = times;
        let given = Some(DeliveryFilter {
            subscription_id, event_id, delivery_id, event_types, states, status_classes,
            error_kinds, start_time, end_time,
        });
        let page_token = String::new();
        let _ = filter::from_list_deliveries(ListDeliveriesRequest { page_size, page_token, filter: given });
    }
}
