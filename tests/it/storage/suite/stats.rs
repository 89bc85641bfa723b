//! What is counted of attempts is what the log has of them, whatever happens.

use std::time::Duration;

use postrider::{
    domain::{
        Attempt, Counts, DeliveryId, Event, StatsGroup, StatsKey, StatsQuery, TimeRange, Timestamp,
    },
    storage::{AttemptRecord, DeliveryChange, Engine, LogPosition},
};

use super::{
    super::{build::*, fixture::Fixture, wait::logged},
    transfer::{LARGE, copied, export},
};

/// Everything apart.
pub fn apart() -> StatsQuery {
    StatsQuery {
        by_subscription: true,
        by_event_type: true,
        by_span: Some(StatsKey::SPAN),
        ..together()
    }
}

/// Everything in one sum.
fn together() -> StatsQuery {
    StatsQuery {
        subscription_id: None,
        event_type: None,
        started: TimeRange::ALL,
        by_subscription: false,
        by_event_type: false,
        by_span: None,
    }
}

/// Fails unless what is counted is what the log of so many attempts comes to.
pub async fn counted_as_logged(engine: &dyn Engine, attempts: usize) {
    let log = logged(engine, LogPosition::default(), attempts).await;
    assert_eq!(log.len(), attempts);
    let mut expected = Vec::<(StatsGroup, Counts)>::new();
    for (_, attempt) in log {
        let group = apart().group(&StatsKey::of(&attempt)).unwrap();
        let found = expected.iter().position(|(known, _)| *known == group);
        let place = found.unwrap_or_else(|| {
            expected.push((group, Counts::default()));
            expected.len() - 1
        });
        expected[place].1.count(&attempt, 1);
    }
    expected.sort_by(|(one, _), (other, _)| one.cmp(other));
    let found = engine.stats(tenant(), &apart(), 1_000).await.unwrap();
    assert_eq!(found, expected);
}

/// How many succeeded and failed of what a query sums up.
async fn sums(engine: &dyn Engine, query: StatsQuery) -> Vec<(u64, u64)> {
    let found = engine.stats(tenant(), &query, 1_000).await.unwrap();
    let sums = found
        .iter()
        .map(|(_, counts)| (counts.succeeded(), counts.failed()));
    sums.collect()
}

/// Begun at another time.
fn at(record: AttemptRecord, start_time: Timestamp) -> AttemptRecord {
    let attempt = Attempt {
        start_time,
        ..record.attempt
    };
    AttemptRecord { attempt, ..record }
}

fn of_type(event: Event, event_type: &str) -> Event {
    Event {
        event_type: event_type.parse().unwrap(),
        ..event
    }
}

/// Attempts of two subscriptions and two event types over two days: four that
/// failed and three that did not.
async fn fill(engine: &dyn Engine) {
    subscribe(engine, 2).await;
    let first = deliver(engine, event(1, NOON), &[1, 2]).await;
    let to_second = DeliveryId::new(first.event_id(), 1);
    let created = of_type(event(2, days_after(1)), "order.created");
    let next_day = deliver(engine, created, &[1]).await;
    let mut other_type = at(succeeded(next_day, 1), days_after(1));
    other_type.attempt.event_type = "order.created".parse().unwrap();
    let again = |seconds: u64, revision, record: AttemptRecord| {
        let mut record = at(record, after(seconds));
        record.revision = revision;
        record.due = after(60);
        record
    };
    engine
        .record_attempts(vec![
            failed(first, 1, after(60)),
            failed(to_second, 2, after(60)),
        ])
        .await
        .unwrap();
    for records in [
        vec![again(60, 1, failed(first, 1, after(60)))],
        vec![other_type, again(400, 1, succeeded(to_second, 2))],
        // Of two of a delivery in one call, both count.
        vec![
            again(700, 2, failed(first, 1, after(60))),
            again(800, 3, succeeded(first, 1)),
        ],
    ] {
        engine.record_attempts(records).await.unwrap();
    }
}

const ATTEMPTS: usize = 7;

pub async fn attempts_are_summed_by_whatever_is_asked_for(store: &mut dyn Fixture) {
    fill(&**store.engine()).await;
    for _ in 0..2 {
        let engine = &**store.engine();
        counted_as_logged(engine, ATTEMPTS).await;
        assert_eq!(sums(engine, together()).await, [(3, 4)]);
        let one = StatsQuery {
            subscription_id: Some(sub(2)),
            ..together()
        };
        assert_eq!(sums(engine, one).await, [(1, 1)]);
        let one = StatsQuery {
            event_type: Some("order.created".parse().unwrap()),
            ..together()
        };
        assert_eq!(sums(engine, one.clone()).await, [(1, 0)]);
        let by_subscription = StatsQuery {
            by_subscription: true,
            ..together()
        };
        assert_eq!(sums(engine, by_subscription).await, [(2, 3), (1, 1)]);
        let by_type = StatsQuery {
            by_event_type: true,
            ..together()
        };
        assert_eq!(sums(engine, by_type).await, [(1, 0), (2, 4)]);
        let by_hour = StatsQuery {
            by_span: Some(Duration::from_hours(1)),
            ..together()
        };
        let hours = engine.stats(tenant(), &by_hour, 1_000).await.unwrap();
        let hours: Vec<_> = hours
            .iter()
            .map(|(group, _)| group.start.unwrap())
            .collect();
        assert_eq!(hours, [NOON, days_after(1)]);
        store.reopen().await;
    }
}

pub async fn a_time_range_holds_the_attempts_that_began_in_it(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    fill(engine).await;
    let between = async |start, end, subscription_id| {
        let query = StatsQuery {
            started: TimeRange { start, end },
            subscription_id,
            ..together()
        };
        sums(engine, query).await
    };
    assert_eq!(between(NOON, after(300), None).await, [(0, 3)]);
    assert_eq!(between(after(300), after(900), None).await, [(2, 1)]);
    assert_eq!(between(after(300), after(600), Some(sub(1))).await, []);
    assert_eq!(
        between(after(600), after(900), Some(sub(1))).await,
        [(1, 1)]
    );
    assert_eq!(between(after(900), days_after(1), None).await, []);
    assert_eq!(between(days_after(1), Timestamp::MAX, None).await, [(1, 0)]);
    // An attempt stands with the day of its event and counts on that of its own.
    let late = deliver(engine, event(3, NOON), &[2]).await;
    let record = at(failed(late, 2, after(60)), days_after(2));
    store.clock().set(days_after(2));
    engine.record_attempts(vec![record]).await.unwrap();
    assert_eq!(between(days_after(2), Timestamp::MAX, None).await, [(0, 1)]);
}

pub async fn what_is_not_recorded_is_not_counted(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let gone = DeliveryId::new(event(1, NOON).id, 0);
    let there = deliver(engine, event(2, NOON), &[1]).await;
    for id in [gone, there] {
        let recorded = engine.record_attempts(vec![succeeded(id, 1)]).await;
        recorded.unwrap();
    }
    counted_as_logged(engine, 1).await;
    // One that decides nothing any more is recorded all the same.
    let retry = engine.change_delivery(tenant(), there, DeliveryChange::Retry, after(2));
    retry.await.unwrap();
    let late = vec![failed(there, 1, after(60))];
    engine.record_attempts(late).await.unwrap();
    counted_as_logged(engine, 2).await;
    let other = "other".parse().unwrap();
    let found = engine.stats(&other, &together(), 1_000).await.unwrap();
    assert_eq!(found, []);
}

pub async fn no_more_groups_are_returned_than_are_asked_for(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    fill(engine).await;
    for limit in 1..=5 {
        let found = engine.stats(tenant(), &apart(), limit).await.unwrap();
        assert_eq!(found.len(), limit);
    }
    let all = engine.stats(tenant(), &apart(), 1_000).await.unwrap();
    assert_eq!(all.len(), 5);
}

pub async fn counts_survive_a_crash_with_their_attempts(store: &mut dyn Fixture) {
    fill(&**store.engine()).await;
    store.crash().await;
    counted_as_logged(&**store.engine(), ATTEMPTS).await;
}

pub async fn counts_go_with_their_attempts(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    fill(engine).await;
    let removed = engine.remove_of_tenant(tenant(), days_after(1)).await;
    assert_eq!(removed.unwrap().events, 1);
    counted_as_logged(engine, 1).await;
    let removed = engine.remove_expired(days_after(2)).await.unwrap();
    assert_eq!(removed.kept, 0);
    assert_eq!(sums(engine, together()).await, []);
}

pub async fn a_copy_counts_the_same_however_often_it_is_made(store: &mut dyn Fixture) {
    let source = store.another().await;
    fill(&*source).await;
    let engine = &**store.engine();
    copied(&*source, engine).await.unwrap();
    counted_as_logged(engine, ATTEMPTS).await;
    let records = export(&*source, LARGE).await;
    engine.import(records).await.unwrap();
    counted_as_logged(engine, ATTEMPTS).await;
}
