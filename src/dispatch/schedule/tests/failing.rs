//! What a schedule does with an endpoint that fails, and with the others
//! meanwhile.

use super::*;

/// A schedule that knows one subscription, with nothing waiting, and its id.
fn of_one(now: Timestamp) -> (Schedule, SubscriptionId) {
    let mut schedule = Schedule::new(Settings::default(), Box::new(|_| true));
    schedule.scanned();
    schedule.advance(now);
    let subscription = World::new(0).subscriptions.remove(0);
    let id = subscription.id;
    schedule.changed(Arc::new(Endpoint::new(Arc::new(subscription))));
    know_empty(&mut schedule);
    (schedule, id)
}

const FAILED: Ended = Ended::Made {
    succeeded: false,
    due: None,
};

#[test]
fn a_dead_endpoint_gets_one_attempt_in_half_a_minute_whatever_waits_for_it() {
    let now = Timestamp::from_secs(1_000);
    let (mut schedule, id) = of_one(now);
    for n in 0..900 {
        accept_one(&mut schedule, id, now, n);
    }
    let mut attempts = 0;
    for tenths in 0..300 {
        schedule.advance(now.after(Duration::from_millis(tenths * 100)));
        let started: Vec<_> = std::iter::from_fn(|| schedule.next_start()).collect();
        attempts += started.len();
        schedule.advance(now.after(Duration::from_millis(tenths * 100 + 99)));
        for start in started {
            schedule.ended(id, start.key.delivery_id, FAILED);
        }
    }
    // As many as may be under way, and from the fifth failure on one by one
    // for a second.
    assert_eq!(attempts, 3 + 3 + 9);
    schedule.advance(now.after(Duration::from_secs(32)));
    let probe = schedule.next_start().unwrap();
    assert!(schedule.next_start().is_none(), "a second probe");
    schedule.ended(id, probe.key.delivery_id, FAILED);
    assert!(schedule.next_start().is_none());
}

#[test]
fn a_retry_by_hand_is_the_next_probe_and_does_not_wait_for_it() {
    let now = Timestamp::from_secs(1_000);
    let (mut schedule, id) = of_one(now);
    for n in 0..900 {
        accept_one(&mut schedule, id, now, n);
    }
    let later = now.after(Duration::from_secs(2));
    for (time, attempts) in [(now, 5), (later, 1)] {
        schedule.advance(time);
        for _ in 0..attempts {
            let start = schedule.next_start().unwrap();
            schedule.ended(id, start.key.delivery_id, FAILED);
        }
    }
    let (by_hand, _) = EventId::new(now, 7 << 16).deliveries(&[id]).next().unwrap();
    let again = |trigger| Rescheduled {
        delivery_id: by_hand,
        subscription_id: id,
        trigger,
        due: Some(later),
    };
    schedule.rescheduled(&again(Trigger::Replay));
    assert!(schedule.next_start().is_none(), "a replay is no probe");
    schedule.rescheduled(&again(Trigger::Manual));
    assert_eq!(schedule.next_start().unwrap().key.delivery_id, by_hand);
}

#[test]
fn fresh_events_do_not_wait_for_a_backlog_that_is_late() {
    let now = Timestamp::from_secs(1_000);
    let (mut schedule, id) = of_one(now);
    for n in 0..3_000 {
        accept_one(&mut schedule, id, now, n);
    }
    let later = now.after(Duration::from_mins(1));
    schedule.advance(later);
    accept_one(&mut schedule, id, later, 9);
    let fresh = EventId::new(later, 9 << 16);
    let started = [(); 2].map(|()| schedule.next_start().unwrap().key.delivery_id.event_id());
    assert!(started.contains(&fresh));
}
