//! A subscription that only fails is disabled, whoever finds out.

use std::time::Duration;

use postrider::{
    domain::{
        Attempt, AttemptId, Clock, DeliveryId, DeliveryState, ErrorKind, Next, Phases, State,
        StateCode, Subscription, Trigger,
    },
    storage::AttemptRecord,
};

use super::support::{House, SOON, receiver, status};

/// So many hours are too long by default.
const TOO_LONG: u64 = 5 * 24 + 1;

/// Records an attempt of a delivery that ended so many hours ago.
async fn attempted(
    house: &House,
    to: &Subscription,
    id: DeliveryId,
    revision: u32,
    hours_ago: u64,
    error_kind: Option<ErrorKind>,
) {
    let now = house.clock.now();
    let delivery = house.store.delivery(&to.tenant, id).await.unwrap();
    let attempt = Attempt {
        id: AttemptId::new(now, u128::from(hours_ago)),
        tenant: to.tenant.clone(),
        delivery_id: id,
        subscription_id: to.id,
        event_type: delivery.event_type,
        trigger: Trigger::Event,
        number: revision + 1,
        start_time: now.before(Duration::from_hours(hours_ago)),
        duration: Duration::from_millis(5),
        phases: Phases::default(),
        error_kind,
        error_message: String::new(),
        response_status: None,
        response_headers: Vec::new(),
        response_body: bytes::Bytes::new(),
        response_body_truncated: false,
        peer_address: None,
        request_headers: Vec::new(),
        next_attempt_time: delivery.due,
    };
    let due = delivery.due.unwrap();
    let record = AttemptRecord {
        attempt,
        revision,
        due,
        next: Next::RetryAt(due),
        now,
    };
    house.store.record_attempts(vec![record]).await.unwrap();
}

/// What becomes of a subscription that was last changed so many hours ago, after
/// these attempts, by hours ago and whether they succeeded, and one that fails
/// now, in another process.
async fn after_failures(changed: u64, attempts: &[(u64, bool)]) -> Subscription {
    let mut house = House::new().await;
    let (url, _got) = receiver(|_| status(500)).await;
    let to = house
        .subscribe_before(url, Duration::from_hours(changed))
        .await;
    let id = house.publish_one(to.id).await;
    for (revision, (hours_ago, succeeded)) in (0..).zip(attempts) {
        let error = (!succeeded).then_some(ErrorKind::Timeout);
        attempted(&house, &to, id, revision, *hours_ago, error).await;
    }
    house.reopen().await;
    let dispatcher = house.dispatch();
    house.delivery_when(id, DeliveryState::Failed).await;
    dispatcher.drain(SOON).await;
    let now = house.store.find_subscription(to.id).await.unwrap().unwrap();
    (*now).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_failures_for_days_disables_a_subscription() {
    let now = after_failures(400, &[(TOO_LONG, false), (30, false)]).await;
    assert_eq!(now.state, State::Disabled);
    assert_eq!(now.state_reason.code, StateCode::Failing);
    let message = &now.state_reason.message;
    assert!(
        message.starts_with("nothing but failures since 20"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_a_change_or_silence_keep_a_subscription_active() {
    for (changed, attempts) in [
        (400, [(TOO_LONG, false), (30, true)].as_slice()),
        (30, &[(TOO_LONG, false), (20, false)]),
        (400, &[(100, false)]),
        (400, &[]),
    ] {
        let now = after_failures(changed, attempts).await;
        assert_eq!(now.state, State::Active, "{attempts:?}");
    }
}
