use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::domain::{
    Attributes, ContentType, EventId, NewEvent, Payload, Schedule, TenantId, Timestamp,
};

const RETRIES: u32 = 3;

fn policy() -> RetryPolicy {
    let delays = vec![Duration::from_secs(10); RETRIES as usize];
    RetryPolicy::new(Schedule::Delays(delays), None, None).unwrap()
}

fn delivery(trigger: Trigger) -> Delivery {
    let now = Timestamp::from_secs(1_700_000_000);
    let event = NewEvent {
        event_type: "order.shipped".parse().unwrap(),
        payload: Payload::new(Bytes::from_static(b"{}"), ContentType::default()).unwrap(),
        idempotency_key: None,
        ordering_key: None,
        attributes: Attributes::default(),
        deliver_after: None,
    }
    .accept(EventId::new(now, 1), TenantId::default(), now);
    Delivery::new(&event, 0, SubscriptionId::new(now, 2), trigger)
}

const FAILED: Outcome = Outcome::Failed {
    kind: ErrorKind::Status,
    not_before: None,
};

const LAST: LastOutcome = LastOutcome {
    error_kind: Some(ErrorKind::Status),
    response_status: Some(500),
};

fn fail(delivery: &Delivery, now: Timestamp) -> Delivery {
    let next = delivery.after_attempt(FAILED, &policy(), now, Jitter::NONE);
    delivery.attempted(LAST, next, now)
}

/// Whatever happens, what a delivery says of itself fits together.
fn check(delivery: &Delivery) {
    assert_eq!(delivery.due.is_none(), delivery.state.is_settled());
    assert!(delivery.chain_start <= delivery.attempt_count);
    assert!(delivery.attempt_count - delivery.chain_start <= RETRIES + 1);
    assert_ne!(delivery.state, DeliveryState::Delivering);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Fail,
    Succeed,
    FailLate,
    Retry,
    Cancel,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::{Cancel, Fail, FailLate, Retry, Succeed};
    prop_oneof![
        Just(Fail),
        Just(Succeed),
        Just(FailLate),
        Just(Retry),
        Just(Cancel)
    ]
}

proptest! {
    #[test]
    fn a_delivery_stays_consistent_under_every_change(
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut delivery = delivery(Trigger::Event);
        let mut now = delivery.create_time;
        for step in steps {
            now = now.after(Duration::from_secs(1));
            let before = delivery.clone();
            delivery = match step {
                Step::Fail | Step::Succeed if before.state.is_settled() => continue,
                Step::Fail => fail(&before, now),
                Step::Succeed => before.attempted(LAST, Next::Succeed, now),
                Step::FailLate => before.attempted_late(LAST, now),
                Step::Retry => match before.retried(now) {
                    Ok(retried) => retried,
                    Err(error) => {
                        prop_assert_eq!(error, NotChangeable::TooManyAttempts);
                        prop_assert!(before.attempt_count >= Delivery::MAX_ATTEMPTS);
                        continue;
                    }
                },
                Step::Cancel => match before.cancelled(now) {
                    Ok(cancelled) => cancelled,
                    Err(error) => {
                        prop_assert_eq!(error, NotChangeable::Settled);
                        prop_assert!(before.state.is_settled());
                        continue;
                    }
                },
            };
            check(&delivery);
            prop_assert_eq!(delivery.revision, before.revision + 1);
        }
    }
}

#[test]
fn a_delivery_is_retried_until_its_attempts_are_used_up() {
    let mut now = Timestamp::from_secs(1_700_000_000);
    let mut delivery = delivery(Trigger::Event);
    for _ in 0..RETRIES {
        delivery = fail(&delivery, now);
        assert_eq!(delivery.state, DeliveryState::Retrying);
        now = delivery.due.unwrap();
    }
    delivery = fail(&delivery, now);
    assert_eq!(delivery.state, DeliveryState::Failed);
    assert_eq!(delivery.attempt_count, RETRIES + 1);
}

#[test]
fn a_retry_by_hand_begins_a_whole_chain() {
    let now = Timestamp::from_secs(1_700_000_100);
    let delivered = delivery(Trigger::Event).attempted(LAST, Next::Succeed, now);
    let retried = delivered.retried(now).unwrap();
    assert_eq!(retried.due, Some(now));
    assert_eq!(retried.trigger, Trigger::Manual);
    let failed = fail(&retried, now);
    assert_eq!(failed.state, DeliveryState::Retrying);
    assert_eq!(failed.due, Some(now.after(Duration::from_secs(10))));
    assert_eq!(failed.attempt_count, 2);
}

#[test]
fn a_test_is_never_retried() {
    let delivery = delivery(Trigger::Test);
    let failed = fail(&delivery, delivery.create_time);
    assert_eq!(failed.state, DeliveryState::Failed);
}

#[test]
fn an_endpoint_that_is_gone_ends_the_delivery() {
    let delivery = delivery(Trigger::Event);
    let now = delivery.create_time;
    let next = delivery.after_attempt(Outcome::Gone, &policy(), now, Jitter::NONE);
    assert_eq!(next, Next::Disable);
    assert_eq!(
        delivery.attempted(LAST, next, now).state,
        DeliveryState::Failed
    );
}

#[test]
fn a_late_result_does_not_use_up_the_new_chain() {
    let delivery = delivery(Trigger::Event);
    let now = delivery.create_time;
    let late = delivery.retried(now).unwrap().attempted_late(LAST, now);
    assert_eq!(late.state, DeliveryState::Pending);
    assert_eq!((late.attempt_count, late.chain_start), (1, 1));
}
