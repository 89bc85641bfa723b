//! Positions of the log that have nothing to do with their times, as in a store
//! that was copied.

use postrider::storage::{LogPosition, Stored};

use super::{
    super::{build::*, fixture::Fixture, wait::logged},
    transfer::{ATTEMPTS, LARGE, export, fill},
};

pub async fn positions_below_their_times_are_found_by_these(store: &mut dyn Fixture) {
    positions_are_found_by_times(store, 0).await;
}

pub async fn positions_above_their_times_are_found_by_these(store: &mut dyn Fixture) {
    positions_are_found_by_times(store, days_after(1).as_micros()).await;
}

/// Numbers all attempts anew, after this number.
async fn positions_are_found_by_times(store: &mut dyn Fixture, base: u64) {
    let source = store.another().await;
    fill(&*source).await;
    let mut records = export(&*source, LARGE).await;
    let mut number = 0;
    for record in &mut records {
        if let Stored::Attempt {
            position, recorded, ..
        } = record
        {
            number += 1;
            *position = LogPosition(base + number);
            *recorded = after(10 * number);
        }
    }
    store.engine().import(records.clone()).await.unwrap();
    let later = event(7, days_after(3));
    store.clock().set(after(100));
    let id = deliver(&**store.engine(), later, &[1]).await;
    let last = vec![succeeded(id, 1)];
    store.engine().record_attempts(last).await.unwrap();
    logged(&**store.engine(), LogPosition::default(), ATTEMPTS + 1).await;
    for _ in 0..2 {
        let engine = &**store.engine();
        for (seconds, expected) in [
            (0, 6),
            (10, 6),
            (11, 5),
            (30, 4),
            (45, 2),
            (50, 2),
            (51, 1),
            (100, 1),
        ] {
            let place = engine.position_before(after(seconds)).await.unwrap();
            let found = read_all(engine, place).await.len();
            assert_eq!(found, expected, "{seconds} s");
        }
        let slice = engine.read_log(LogPosition(base + 3), 9).await.unwrap();
        assert_eq!(slice.attempts.len(), 3);
        assert_eq!(slice.removed_before, None);
        store.reopen().await;
    }
    let exported = export(&**store.engine(), LARGE).await;
    let kept = records.iter().filter(|record| exported.contains(record));
    assert_eq!(kept.count(), records.len());
}
