//! The log of attempts: told at once, and true of the days that are there.

use crate::{domain::Timestamp, storage::LogPosition};

use super::support::*;

#[tokio::test]
async fn an_attempt_ends_the_log_before_the_call_is_answered() {
    let mut store = Fixture::new().await;
    let id = deliver(&*store.engine, event(1, NOON), &[1]).await;
    let record = succeeded(id, 1);
    store
        .engine
        .record_attempts(vec![record.clone()])
        .await
        .unwrap();
    for _ in 0..2 {
        let end = *store.engine.log_end().borrow();
        let log = store.engine.read_log(LogPosition::default(), 9).await;
        let log = log.unwrap().attempts;
        assert_eq!(log, [(end, record.attempt.clone().into())]);
        store.reopen().await;
    }
}

#[tokio::test]
async fn a_reader_behind_a_removed_day_is_told() {
    let mut store = Fixture::new().await;
    let old = deliver(&*store.engine, event(1, NOON), &[1]).await;
    let new = deliver(&*store.engine, event(2, days_after(1)), &[1]).await;
    store.clock.set(days_after(1));
    for id in [old, new] {
        store
            .engine
            .record_attempts(vec![succeeded(id, 1)])
            .await
            .unwrap();
    }
    store.engine.close().await;
    let day = store.dir.path().join("data/days/2024-01-15");
    std::fs::remove_dir_all(day).unwrap();
    store.reopen().await;

    let slice = store
        .engine
        .read_log(LogPosition::default(), 9)
        .await
        .unwrap();
    assert_eq!(slice.attempts.len(), 1);
    // 2024-01-16T00:00:00Z.
    let midnight = Timestamp::from_secs(1_705_363_200);
    assert_eq!(slice.removed_before, Some(midnight));
    let later = store.engine.read_log(slice.attempts[0].0, 9).await.unwrap();
    assert_eq!(later.removed_before, None);
}
