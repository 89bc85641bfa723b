//! The dispatcher as a whole, over the embedded store and real sockets.

mod failing;
#[cfg(test)]
mod support;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use postrider::{
    domain::{Clock, DeliveryState, ErrorKind, State, StateCode, TenantId},
    storage::{DeliveryChange, LogPosition},
};

use tokio::time::timeout;

use crate::support::eventually;

use self::support::{HeldClock, House, SOON, hanging, next, receiver, status};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_arrives_and_is_logged() {
    let house = House::new().await;
    let dispatcher = house.dispatch();
    let (url, mut got) = receiver(|_| status(200)).await;
    let to = house.subscribe(url, &[]).await;
    let id = house.publish_one(to.id).await;
    assert_eq!(next(&mut got).await.id, id.event_id().to_string());
    let delivery = house.delivery_when(id, DeliveryState::Succeeded).await;
    assert_eq!((delivery.attempt_count, delivery.due), (1, None));
    // A row can be seen before its write is durable, the log only after that.
    let mut log_end = house.store.log_end();
    let is_logged = log_end.wait_for(|end| *end > LogPosition::default());
    timeout(SOON, is_logged).await.unwrap().unwrap();
    let log = house
        .store
        .read_log(LogPosition::default(), 10)
        .await
        .unwrap();
    let [(_, attempt)] = &log.attempts[..] else {
        panic!("{log:?}");
    };
    assert_eq!((attempt.delivery_id, attempt.number), (id, 1));
    assert_eq!(
        (attempt.response_status, attempt.error_kind),
        (Some(200), None)
    );
    assert_eq!(attempt.error_message, "");
    assert!(
        attempt
            .request_headers
            .iter()
            .any(|(name, _)| name == "webhook-signature")
    );
    dispatcher.drain(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_tried_again_on_time() {
    let house = House::new().await;
    let dispatcher = house.dispatch();
    let (url, mut got) = receiver(|attempt| status(if attempt < 3 { 500 } else { 204 })).await;
    let to = house.subscribe(url, &[300, 600]).await;
    let id = house.publish_one(to.id).await;
    let mut last = next(&mut got).await.at;
    for (attempt, delay) in [(2, 300), (3, 600)] {
        let again = next(&mut got).await;
        assert_eq!(
            (again.id, again.attempt),
            (id.event_id().to_string(), attempt)
        );
        let waited = again.at - last;
        let delay = Duration::from_millis(delay);
        assert!(waited >= delay, "{waited:?} is early for {delay:?}");
        assert!(
            waited < delay.mul_f64(1.1) + Duration::from_millis(500),
            "{waited:?}"
        );
        last = again.at;
    }
    house.delivery_when(id, DeliveryState::Succeeded).await;
    dispatcher.drain(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_gone_disables_its_subscription() {
    let house = House::new().await;
    let dispatcher = house.dispatch();
    let (url, mut got) = receiver(|_| status(410)).await;
    let to = house.subscribe(url, &[1]).await;
    let mut changes = house.store.subscription_changes();
    let id = house.publish_one(to.id).await;
    next(&mut got).await;
    let delivery = house.delivery_when(id, DeliveryState::Failed).await;
    assert_eq!(
        delivery.last_outcome.unwrap().error_kind,
        Some(ErrorKind::Gone)
    );
    let change = timeout(SOON, changes.recv()).await.unwrap().unwrap();
    let now = change.now.unwrap();
    assert_eq!(
        (now.state, now.state_reason.code),
        (State::Disabled, StateCode::Gone)
    );
    dispatcher.drain(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_subscription_holds_its_queue_until_it_is_enabled() {
    let house = House::new().await;
    let (url, mut got) = receiver(|_| status(200)).await;
    let to = house.subscribe(url, &[]).await;
    let (other_url, mut other_got) = receiver(|_| status(200)).await;
    let other = house.subscribe(other_url, &[]).await;
    house.publish(to.id, 3_000, Duration::ZERO).await;
    house.set_state(to.id, State::Disabled).await;
    let dispatcher = house.dispatch();
    // What is sent after it shows that it was passed over.
    for _ in 0..3 {
        house.publish_one(other.id).await;
        next(&mut other_got).await;
    }
    assert!(got.try_recv().is_err());
    house.set_state(to.id, State::Active).await;
    let mut seen = HashMap::new();
    while seen.len() < 3_000 {
        *seen.entry(next(&mut got).await.id).or_insert(0) += 1;
    }
    assert!(seen.values().all(|count| *count == 1));
    dispatcher.drain(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cancelled_before_it_is_due_is_not_sent() {
    let house = House::new().await;
    let dispatcher = house.dispatch();
    let (url, mut got) = receiver(|_| status(200)).await;
    let to = house.subscribe(url, &[]).await;
    let ids = house.publish(to.id, 2, Duration::from_millis(500)).await;
    let now = house.clock.now();
    let cancel = DeliveryChange::Cancel;
    house
        .store
        .change_delivery(&TenantId::default(), ids[0], cancel, now)
        .await
        .unwrap();
    assert_eq!(next(&mut got).await.id, ids[1].event_id().to_string());
    house.delivery_when(ids[1], DeliveryState::Succeeded).await;
    house.delivery_when(ids[0], DeliveryState::Cancelled).await;
    assert!(got.try_recv().is_err());
    dispatcher.drain(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_by_hand_is_sent_at_once() {
    let house = House::new().await;
    let dispatcher = house.dispatch();
    let (url, mut got) = receiver(|attempt| status(if attempt == 1 { 500 } else { 200 })).await;
    let to = house.subscribe(url, &[3_600_000]).await;
    let id = house.publish_one(to.id).await;
    house.delivery_when(id, DeliveryState::Retrying).await;
    next(&mut got).await;
    let now = house.clock.now();
    let retry = DeliveryChange::Retry;
    house
        .store
        .change_delivery(&TenantId::default(), id, retry, now)
        .await
        .unwrap();
    assert_eq!(next(&mut got).await.attempt, 2);
    let delivery = house.delivery_when(id, DeliveryState::Succeeded).await;
    assert_eq!(delivery.attempt_count, 2);
    dispatcher.drain(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_subscription_is_sent_nothing_more() {
    let house = House::new().await;
    let (url, mut got) = receiver(|_| status(200)).await;
    let to = house.subscribe(url, &[]).await;
    house.publish(to.id, 10, Duration::ZERO).await;
    let now = house.clock.now();
    house
        .store
        .delete_subscription(&TenantId::default(), to.id, None, now)
        .await
        .unwrap();
    let dispatcher = house.dispatch();
    let emptied = async {
        while !house
            .store
            .due_subscriptions(None, 1)
            .await
            .unwrap()
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, emptied).await.unwrap();
    dispatcher.drain(SOON).await;
    assert!(got.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_interrupted_is_sent_after_a_restart() {
    let mut house = House::new().await;
    let url = hanging().await;
    let to = house.subscribe(url, &[]).await;
    let dispatcher = house.dispatch();
    let ids = house.publish(to.id, 3, Duration::ZERO).await;
    house.delivery_when(ids[2], DeliveryState::Delivering).await;
    let began = Instant::now();
    dispatcher.drain(Duration::from_millis(100)).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    house.delivery_when(ids[2], DeliveryState::Pending).await;
    house.reopen().await;

    let (url, mut got) = receiver(|_| status(200)).await;
    let current = house.store.find_subscription(to.id).await.unwrap().unwrap();
    let mut spec = current.spec.clone();
    spec.url = url.parse().unwrap();
    let changed = current.with_spec(spec, house.clock.now());
    house
        .store
        .replace_subscription(changed, current.version)
        .await
        .unwrap();
    let dispatcher = house.dispatch();
    for _ in 0..3 {
        assert_eq!(next(&mut got).await.attempt, 1);
    }
    for id in ids {
        house.delivery_when(id, DeliveryState::Succeeded).await;
    }
    dispatcher.drain(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_under_way_is_recorded_before_the_end() {
    let house = House::new().await;
    let (url, mut got) = receiver(|_| {
        std::thread::sleep(Duration::from_millis(200));
        status(200)
    })
    .await;
    let to = house.subscribe(url, &[]).await;
    let dispatcher = house.dispatch();
    let id = house.publish_one(to.id).await;
    next(&mut got).await;
    dispatcher.drain(SOON).await;
    house.delivery_when(id, DeliveryState::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_endpoint_with_a_backlog_does_not_slow_another() {
    let house = House::new().await;
    let dead_url = hanging().await;
    let dead = house.subscribe(dead_url, &[]).await;
    house.publish(dead.id, 5_000, Duration::ZERO).await;
    let dispatcher = house.dispatch();
    let (url, mut got) = receiver(|_| status(200)).await;
    let to = house.subscribe(url, &[]).await;
    // The first opens the connection.
    house.publish_one(to.id).await;
    next(&mut got).await;
    let mut took = Vec::new();
    for _ in 0..21 {
        let began = Instant::now();
        house.publish_one(to.id).await;
        took.push(next(&mut got).await.at - began);
    }
    took.sort();
    assert!(took[10] < Duration::from_millis(100), "{took:?}");
    dispatcher.drain(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_once_the_store_is_closed() {
    let house = House::new().await;
    let dispatcher = house.dispatch();
    let (url, mut got) = receiver(|_| {
        std::thread::sleep(Duration::from_millis(100));
        status(200)
    })
    .await;
    let to = house.subscribe(url, &[]).await;
    house.publish_one(to.id).await;
    next(&mut got).await;
    house.store.close().await;
    tokio::time::timeout(SOON, dispatcher.stopped())
        .await
        .expect("it should stop by itself");
    dispatcher.drain(SOON).await;
    assert!(got.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduler_that_is_stuck_shows_no_sign_until_it_goes_on() {
    let house = House::new().await;
    let clock = Arc::new(HeldClock::default());
    let dispatcher = house.dispatch_by(clock.clone());
    let heartbeat = dispatcher.heartbeat();
    // With nothing to do there is one a second.
    let beats_again = async |before: u64| {
        eventually("a sign", async || {
            (heartbeat.beats() > before).then_some(())
        })
        .await;
    };
    beats_again(1).await;
    let stuck_at = tokio::task::block_in_place(|| {
        let _held = clock.0.lock().unwrap();
        loop {
            let before = heartbeat.beats();
            std::thread::sleep(Duration::from_millis(2_500));
            if heartbeat.beats() == before {
                return before;
            }
        }
    });
    beats_again(stuck_at).await;
    dispatcher.drain(SOON).await;
}
