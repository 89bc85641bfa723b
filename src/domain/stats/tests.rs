use proptest::prelude::*;

use super::*;
use crate::domain::{AttemptId, DeliveryId, ErrorKind, EventId, Phases, TenantId};

const NOON: Timestamp = Timestamp::from_secs(1_705_312_800);

/// An attempt of an event accepted at noon that began so much later.
fn attempt(after: Duration, took: Duration, error_kind: Option<ErrorKind>) -> Attempt {
    Attempt {
        id: AttemptId::new(NOON, 1),
        tenant: TenantId::default(),
        delivery_id: DeliveryId::new(EventId::new(NOON, 1), 0),
        subscription_id: SubscriptionId::new(NOON, 1),
        event_type: "order.shipped".parse().unwrap(),
        trigger: Trigger::Event,
        number: 1,
        start_time: NOON.after(after),
        duration: took,
        phases: Phases::default(),
        error_kind,
        error_message: String::new(),
        response_status: None,
        response_headers: Vec::new(),
        response_body: bytes::Bytes::new(),
        response_body_truncated: false,
        peer_address: None,
        request_headers: Vec::new(),
        next_attempt_time: None,
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn counted<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> Counts {
    let mut counts = Counts::default();
    for attempt in attempts {
        counts.count(attempt, 1);
    }
    counts
}

#[test]
fn successes_failures_and_times_are_told_apart() {
    let failed = attempt(Duration::ZERO, millis(400), Some(ErrorKind::Timeout));
    let succeeded = attempt(Duration::from_secs(10), millis(100), None);
    let mut by_hand = succeeded.clone();
    by_hand.trigger = Trigger::Manual;
    let counts = counted([&failed, &succeeded, &by_hand]);
    assert_eq!((counts.succeeded(), counts.failed()), (2, 1));
    let close = |found: Option<Duration>, millis: u64| {
        let found = found.unwrap().as_millis();
        let millis = u128::from(millis);
        found.abs_diff(millis) * 8 <= millis
    };
    assert!(close(counts.duration(50), 100));
    assert!(close(counts.duration(99), 400));
    // What was retried by hand tells nothing of how long a delivery takes.
    assert!(close(counts.delivered_within(1), 10_100));
    assert!(close(counts.delivered_within(99), 10_100));
    assert_eq!(counted([&failed]).delivered_within(50), None);
}

#[test]
fn what_is_counted_off_again_leaves_nothing() {
    let one = attempt(Duration::ZERO, millis(5), None);
    let mut counts = counted([&one]);
    counts.count(&one, -1);
    assert!(counts.is_empty());
    assert_eq!(counts, Counts::default());
}

#[test]
fn attempts_are_counted_with_the_five_minutes_in_which_they_began() {
    let late = attempt(Duration::from_secs(299), Duration::from_secs(9), None);
    assert_eq!(StatsKey::of(&late).start, NOON);
    let next = attempt(Duration::from_mins(5), Duration::ZERO, None);
    let five = NOON.after(Duration::from_mins(5));
    assert_eq!(StatsKey::of(&next).start, five);
}

#[test]
fn a_count_goes_where_the_query_says() {
    let key = StatsKey::of(&attempt(Duration::from_hours(1), Duration::ZERO, None));
    let all = StatsQuery {
        subscription_id: None,
        event_type: None,
        started: TimeRange::ALL,
        by_subscription: false,
        by_event_type: false,
        by_span: None,
    };
    let one = StatsGroup {
        start: None,
        subscription_id: None,
        event_type: None,
    };
    assert_eq!(all.group(&key), Some(one));
    let apart = StatsQuery {
        by_subscription: true,
        by_event_type: true,
        by_span: Some(Duration::from_hours(24)),
        ..all.clone()
    };
    let group = StatsGroup {
        start: Some(NOON.before(Duration::from_hours(10))),
        subscription_id: Some(key.subscription_id),
        event_type: Some(key.event_type.clone()),
    };
    assert_eq!(apart.group(&key), Some(group));
    for none in [
        StatsQuery {
            subscription_id: Some(SubscriptionId::new(NOON, 2)),
            ..all.clone()
        },
        StatsQuery {
            event_type: Some("order.created".parse().unwrap()),
            ..all.clone()
        },
        StatsQuery {
            started: TimeRange {
                start: NOON,
                end: key.start,
            },
            ..all
        },
    ] {
        assert_eq!(none.group(&key), None);
    }
}

proptest! {
    #[test]
    fn every_number_is_within_its_step(number: u64) {
        let (low, high) = bounds(step(number));
        prop_assert!(low <= number && (number < high || high == u64::MAX));
        prop_assert!(step(number) < STEPS);
        prop_assert!(high - low <= (low / 4).max(1));
    }

    #[test]
    fn a_percentile_is_off_by_an_eighth_at_most(
        mut durations in proptest::collection::vec(1_000..10_000_000_u64, 1..50),
        percent in 1..=100_u64,
    ) {
        let attempts = durations.iter().map(|micros| {
            attempt(Duration::ZERO, Duration::from_micros(*micros), None)
        });
        let attempts: Vec<_> = attempts.collect();
        let found = counted(&attempts).duration(percent).unwrap();
        durations.sort_unstable();
        let rank = (durations.len() * usize::try_from(percent).unwrap()).div_ceil(100);
        let exact = durations[rank.max(1) - 1];
        let found = u64::try_from(found.as_micros()).unwrap();
        prop_assert!(found.abs_diff(exact) <= exact / 8 + 1, "{found} for {exact}");
    }
}
