//! Requests of any bytes: each is taken, or the fields that are wrong are named.

use proptest::prelude::*;
use prost::Message;
use prost_types::{FieldMask, ListValue, Value, value::Kind};

use super::{erase, event, explain, filter, replay, stats, subscription, tail};
use crate::{
    control::{Error, Limits},
    domain::{Timestamp, damaged::damaged},
    proto::{
        BatchPublishEventsRequest, CreateReplayRequest, CreateSubscriptionRequest, DeliveryFilter,
        Event, ExponentialBackoff, ListDeliveriesRequest, PublishEventRequest, RateLimit, Replay,
        ReplayFilter, RetryDelays, RetryPolicy, Subscription, TailDeliveriesRequest,
        TestFilterRequest, UpdateSubscriptionRequest, event::Payload, retry_policy::Schedule,
        tail_deliveries_request::Start as TailFrom,
    },
};

const NOW: Timestamp = Timestamp::from_secs(1_705_312_800);
const TIME: prost_types::Timestamp = prost_types::Timestamp {
    seconds: 1_705_312_700,
    nanos: 5,
};

fn a_subscription(schedule: Schedule) -> Subscription {
    Subscription {
        id: "sub_00000000000000000000000000".to_owned(),
        url: "https://client.example:8443/hooks?a=b".to_owned(),
        events: vec!["order.*".to_owned(), "*".to_owned()],
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        description: "all orders".to_owned(),
        headers: [("X-Own".to_owned(), "1".to_owned())].into(),
        labels: [("team".to_owned(), "billing".to_owned())].into(),
        retry_policy: Some(RetryPolicy {
            schedule: Some(schedule),
            max_age: Some(prost_types::Duration {
                seconds: 86_400,
                nanos: 0,
            }),
            ..Default::default()
        }),
        timeout: Some(prost_types::Duration {
            seconds: 5,
            nanos: 1,
        }),
        max_in_flight: 8,
        rate_limit: Some(RateLimit {
            per_second: 2.5,
            burst: 3,
        }),
        filter: "event.data.total > 1 && event.type.startsWith('a')".to_owned(),
        etag: "7".to_owned(),
        ..Default::default()
    }
}

fn an_event(payload: Payload) -> Event {
    Event {
        r#type: "order.shipped".to_owned(),
        payload: Some(payload),
        content_type: "application/json".to_owned(),
        idempotency_key: "a".to_owned(),
        ordering_key: "b".to_owned(),
        attributes: [("c".to_owned(), "d".to_owned())].into(),
        deliver_after: Some(TIME),
        ..Default::default()
    }
}

fn json() -> Payload {
    let number = Value {
        kind: Some(Kind::NumberValue(1e21)),
    };
    let list = ListValue {
        values: vec![number; 2],
    };
    Payload::Json(Value {
        kind: Some(Kind::ListValue(list)),
    })
}

/// A request of every shape.
fn requests() -> Vec<Vec<u8>> {
    let delays = Schedule::Delays(RetryDelays {
        delays: vec![prost_types::Duration::default(); 2],
    });
    let exponential = Schedule::Exponential(ExponentialBackoff {
        factor: 1.5,
        ..Default::default()
    });
    let filter = DeliveryFilter {
        event_id: "evt_00000000000000000000000000".to_owned(),
        event_types: vec!["a.*".to_owned()],
        states: vec![1, 2],
        status_classes: vec![5],
        error_kinds: vec![3],
        start_time: Some(TIME),
        ..Default::default()
    };
    vec![
        CreateSubscriptionRequest {
            subscription: Some(a_subscription(delays)),
            request_id: "r".to_owned(),
            validate_only: true,
        }
        .encode_to_vec(),
        UpdateSubscriptionRequest {
            subscription: Some(a_subscription(exponential)),
            update_mask: Some(FieldMask {
                paths: vec!["url".to_owned(), "retry_policy".to_owned()],
            }),
            validate_only: false,
        }
        .encode_to_vec(),
        PublishEventRequest {
            event: Some(an_event(json())),
        }
        .encode_to_vec(),
        BatchPublishEventsRequest {
            events: vec![an_event(Payload::Data("{\"a\":[1,null]}".into())); 2],
        }
        .encode_to_vec(),
        TestFilterRequest {
            filter: "event.attributes['a'] == 'b'".to_owned(),
            event: Some(an_event(json())),
        }
        .encode_to_vec(),
        ListDeliveriesRequest {
            page_size: 7,
            page_token: "AbC".to_owned(),
            filter: Some(filter.clone()),
        }
        .encode_to_vec(),
        TailDeliveriesRequest {
            filter: Some(filter),
            start: Some(TailFrom::ResumeToken("AbC".to_owned())),
            heartbeat_interval: Some(prost_types::Duration {
                seconds: 1,
                nanos: 0,
            }),
        }
        .encode_to_vec(),
        CreateReplayRequest {
            replay: Some(Replay {
                filter: Some(ReplayFilter {
                    subscription_id: "sub_00000000000000000000000000".to_owned(),
                    start_time: Some(TIME),
                    end_time: Some(TIME),
                    ..Default::default()
                }),
                mode: 1,
                rate_limit: 9,
                ..Default::default()
            }),
            validate_only: false,
        }
        .encode_to_vec(),
    ]
}

/// Reads the bytes as a request, if they are one, and converts it.
fn convert<R: Message + Default, T>(
    bytes: &[u8],
    convert: impl FnOnce(R) -> Result<T, Error>,
) -> Result<(), TestCaseError> {
    let Ok(request) = R::decode(bytes) else {
        return Ok(());
    };
    match convert(request) {
        Ok(_) | Err(Error::PayloadTooLarge { .. }) => Ok(()),
        Err(Error::Invalid(wrong)) => {
            prop_assert!(!wrong.is_empty(), "something is wrong, but nothing named");
            for one in wrong {
                prop_assert!(!one.field.is_empty(), "a field without a name");
            }
            Ok(())
        }
        Err(other) => Err(TestCaseError::fail(format!("{other:?}"))),
    }
}

proptest! {
    #[test]
    fn whatever_is_asked_is_taken_or_its_wrong_fields_are_named(
        bytes in damaged(requests())
    ) {
        let (bytes, limits) = (bytes.as_slice(), Limits::default());
        convert(bytes, subscription::from_create)?;
        convert(bytes, subscription::from_list)?;
        convert(bytes, subscription::from_update)?;
        convert(bytes, |request| subscription::from_delete(&request))?;
        convert(bytes, subscription::from_disable)?;
        convert(bytes, |request| subscription::from_rotate(&request))?;
        convert(bytes, |request| subscription::from_test(&request))?;
        convert(bytes, |request: PublishEventRequest| {
            event::from_publish(request.event, limits, NOW)
        })?;
        convert(bytes, |request| event::from_batch(request, limits, NOW))?;
        convert(bytes, |request| event::from_test_filter(request, limits, NOW))?;
        convert(bytes, |request| event::from_get(&request))?;
        convert(bytes, event::from_list)?;
        convert(bytes, explain::from_explain)?;
        convert(bytes, erase::from_erase)?;
        convert(bytes, filter::from_list_deliveries)?;
        convert(bytes, filter::from_list_attempts)?;
        convert(bytes, tail::from_tail)?;
        convert(bytes, replay::from_create)?;
        convert(bytes, replay::from_list)?;
        convert(bytes, |request| stats::from_stats(&request, NOW))?;
    }
}
