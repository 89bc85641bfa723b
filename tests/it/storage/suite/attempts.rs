//! Results of attempts, and the log they make.

use bytes::Bytes;

use postrider::{
    domain::{Attempt, DeliveryId, DeliveryState, LastOutcome, Timestamp},
    storage::{AttemptRecord, DeliveryChange, LogPosition},
};

use super::super::{
    build::*,
    fixture::Fixture,
    wait::{log_end_from, logged},
};

pub async fn a_recorded_attempt_moves_its_delivery_and_is_logged(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    let id = deliver(&**store.engine(), event(1, NOON), &[1]).await;
    let record = failed(id, 1, after(60));
    store
        .engine()
        .record_attempts(vec![record.clone()])
        .await
        .unwrap();

    for _ in 0..2 {
        let engine = &**store.engine();
        let delivery = engine.delivery(tenant(), id).await.unwrap();
        assert_eq!(delivery.state, DeliveryState::Retrying);
        assert_eq!(delivery.due, Some(after(60)));
        assert_eq!(delivery.attempt_count, 1);
        let queue = engine.due(sub(1), None, 10).await.unwrap();
        assert_eq!(queue.entries.len(), 1);
        assert_eq!(queue.entries[0].due, after(60));
        let log = logged(engine, LogPosition::default(), 1).await;
        assert_eq!(log.len(), 1);
        assert_eq!(*log[0].1, record.attempt);
        assert_eq!(*engine.log_end().borrow(), log[0].0);
        store.reopen().await;
    }
}

pub async fn a_large_answer_reads_back_whole(store: &mut dyn Fixture) {
    let id = deliver(&**store.engine(), event(1, NOON), &[1]).await;
    let record = AttemptRecord {
        attempt: Attempt {
            response_body: Bytes::from(vec![b'z'; Attempt::MAX_KEPT_BODY]),
            response_body_truncated: true,
            ..attempt(id, 1)
        },
        ..succeeded(id, 1)
    };
    store
        .engine()
        .record_attempts(vec![record.clone()])
        .await
        .unwrap();
    store.reopen().await;
    let log = logged(&**store.engine(), LogPosition::default(), 1).await;
    assert_eq!(*log[0].1, record.attempt);
}

pub async fn an_attempt_that_comes_late_is_logged_and_decides_nothing(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let id = deliver(engine, event(1, NOON), &[1]).await;
    let retry = engine.change_delivery(tenant(), id, DeliveryChange::Retry, after(2));
    retry.await.unwrap();
    engine
        .record_attempts(vec![succeeded(id, 1)])
        .await
        .unwrap();

    let delivery = engine.delivery(tenant(), id).await.unwrap();
    assert_eq!(delivery.state, DeliveryState::Pending);
    assert_eq!(delivery.due, Some(after(2)));
    assert_eq!((delivery.attempt_count, delivery.chain_start), (1, 1));
    let last = LastOutcome {
        error_kind: None,
        response_status: Some(200),
    };
    assert_eq!(delivery.last_outcome, Some(last));
    let log = logged(engine, LogPosition::default(), 1).await;
    assert_eq!(log[0].1.next_attempt_time, Some(after(2)));
}

pub async fn two_attempts_of_a_delivery_in_one_call_both_count(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let id = deliver(engine, event(1, NOON), &[1]).await;
    let second = AttemptRecord {
        revision: 1,
        due: after(60),
        ..succeeded(id, 1)
    };
    let records = vec![failed(id, 1, after(60)), second];
    engine.record_attempts(records).await.unwrap();
    let delivery = engine.delivery(tenant(), id).await.unwrap();
    assert_eq!(delivery.state, DeliveryState::Succeeded);
    assert_eq!(delivery.attempt_count, 2);
    let queue = engine.due(sub(1), None, 10).await.unwrap();
    assert_eq!(queue.entries, []);
}

pub async fn an_attempt_of_a_delivery_that_is_gone_is_dropped(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let gone = DeliveryId::new(event(1, NOON).id, 0);
    let there = deliver(engine, event(2, NOON), &[1]).await;
    for id in [gone, there] {
        let recorded = engine.record_attempts(vec![succeeded(id, 1)]).await;
        recorded.unwrap();
    }
    let log = logged(engine, LogPosition::default(), 1).await;
    let log: Vec<_> = log.iter().map(|(_, log)| log.delivery_id).collect();
    assert_eq!(log, [there]);
}

pub async fn the_log_over_days_and_restarts_has_no_gap_and_no_repeat(store: &mut dyn Fixture) {
    let mut ids = Vec::new();
    for number in 1..=4 {
        let day = u64::try_from(number % 2).unwrap();
        ids.push(deliver(&**store.engine(), event(number, days_after(day)), &[1]).await);
    }
    let mut before = LogPosition::default();
    let mut expected = Vec::new();
    for (round, id) in ids.iter().cycle().take(12).enumerate() {
        // The clock is set back half-way: positions must grow all the same.
        let time = if round < 6 { days_after(2) } else { NOON };
        store.clock().set(time);
        let record = failed(*id, 1, after(60));
        store.engine().record_attempts(vec![record]).await.unwrap();
        let end = log_end_from(&**store.engine(), LogPosition(before.0 + 1)).await;
        before = end;
        expected.push((end, *id));
        if round % 5 == 4 {
            store.reopen().await;
            assert_eq!(log_end_from(&**store.engine(), end).await, end);
        }
    }
    for start in 0..expected.len() {
        let rest = read_all(&**store.engine(), expected[start].0).await;
        let rest: Vec<_> = rest
            .iter()
            .map(|(at, log)| (*at, log.delivery_id))
            .collect();
        assert_eq!(rest, expected[start + 1..]);
    }
}

pub async fn the_log_can_be_read_from_a_time(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let id = deliver(engine, event(1, NOON), &[1]).await;
    for seconds in [10, 20, 30] {
        store.clock().set(after(seconds));
        let record = failed(id, 1, after(60));
        engine.record_attempts(vec![record]).await.unwrap();
    }
    logged(engine, LogPosition::default(), 3).await;
    let from = |time: Timestamp| async move {
        let position = engine.position_before(time).await.unwrap();
        read_all(engine, position).await.len()
    };
    assert_eq!(from(NOON).await, 3);
    assert_eq!(from(after(20)).await, 2);
    assert_eq!(from(after(31)).await, 0);
    let slice = engine.read_log(LogPosition::default(), 1).await.unwrap();
    assert_eq!(slice.removed_before, None);
}

pub async fn a_delivery_under_way_reads_as_delivering(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let id = deliver(engine, event(1, NOON), &[1]).await;
    let state = || async { engine.delivery(tenant(), id).await.unwrap().state };
    assert!(engine.attempt_started(sub(1), id));
    assert_eq!(state().await, DeliveryState::Delivering);
    engine.attempt_abandoned(id);
    assert_eq!(state().await, DeliveryState::Pending);
    assert!(engine.attempt_started(sub(1), id));
    let record = failed(id, 1, after(60));
    engine.record_attempts(vec![record]).await.unwrap();
    assert_eq!(state().await, DeliveryState::Retrying);
}
