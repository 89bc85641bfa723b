//! How fast a subscription is sent to: its rate limit, kept by the process that
//! owns its queue.

use std::time::Duration;

use crate::domain::{RateLimit, Timestamp};

/// How much earlier than its exact time an attempt may start, as timers are not
/// exact.
const SLACK: Duration = Duration::from_millis(5);

/// The generic cell rate algorithm: every attempt books one interval, and may
/// start while no more than a burst is booked ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Until when the time is booked.
    booked: Timestamp,
    /// When the last attempt started.
    last: Timestamp,
    /// When the last one started that found less than an interval booked ahead of
    /// it: it would have booked about as much without those before it.
    unhindered: Timestamp,
    /// The least that was booked ahead of any since then.
    ahead: Duration,
}

impl Pace {
    /// The pace of one that was not sent to before.
    pub(super) fn fresh() -> Self {
        Self::booked(Timestamp::MIN)
    }

    /// The pace of one of which is not known what it was sent until `now`: the
    /// last attempt of a burst may have started just now.
    pub(super) fn unknown(limit: RateLimit, now: Timestamp) -> Self {
        Self::booked(now.after(ahead(limit) + interval(limit)))
    }

    fn booked(booked: Timestamp) -> Self {
        Self {
            booked,
            last: Timestamp::MIN,
            unhindered: Timestamp::MIN,
            ahead: Duration::MAX,
        }
    }

    /// When the next attempt may start.
    pub(super) fn next_start(self, limit: RateLimit) -> Timestamp {
        self.booked.before(ahead(limit).max(SLACK))
    }

    /// Books an attempt.
    pub(super) fn started(&mut self, limit: RateLimit, now: Timestamp) {
        let ahead = self.booked.since(now);
        if ahead < interval(limit) {
            self.unhindered = now;
            self.ahead = Duration::MAX;
        } else {
            self.ahead = self.ahead.min(ahead);
        }
        self.last = now;
        self.booked = self.booked.max(now).after(interval(limit));
    }

    /// Gives back what was booked for an attempt that started then and was not
    /// made, unless those that started since would have booked as much without it.
    pub(super) fn not_made(&mut self, limit: RateLimit, started: Timestamp) {
        let interval = interval(limit);
        if started < self.last {
            if started < self.unhindered || self.ahead < interval {
                return;
            }
            self.ahead -= interval;
        }
        self.booked = self.booked.before(interval);
    }

    /// Whether nothing is lost when it is forgotten.
    pub(super) fn is_over(self, now: Timestamp) -> bool {
        self.booked <= now
    }
}

/// From one attempt to the next, in whole microseconds and rather too long.
fn interval(limit: RateLimit) -> Duration {
    let exact = Duration::from_secs_f64(1.0 / limit.per_second());
    Duration::from_micros(u64::try_from(exact.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX))
}

/// How far a burst books ahead of its last attempt.
fn ahead(limit: RateLimit) -> Duration {
    interval(limit) * (limit.burst().get() - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn limit(per_second: f64, burst: u32) -> RateLimit {
        RateLimit::new(per_second, burst.try_into().ok()).unwrap()
    }

    /// How many attempts start in the milliseconds, one after the other.
    fn starts(pace: &mut Pace, limit: RateLimit, millis: std::ops::Range<u64>) -> usize {
        let mut starts = 0;
        for now in millis.map(at) {
            while pace.next_start(limit) <= now {
                pace.started(limit, now);
                starts += 1;
            }
        }
        starts
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let limit = limit(10.0, 20);
        let mut pace = Pace::fresh();
        assert_eq!(starts(&mut pace, limit, 0..1), 20);
        assert_eq!(starts(&mut pace, limit, 1..1_001), 10);
        assert_eq!(starts(&mut pace, limit, 1_001..100_001), 990);
        // A pause gives no more than a burst.
        assert_eq!(starts(&mut pace, limit, 500_000..500_001), 20);
    }

    #[test]
    fn what_may_have_been_sent_before_counts_as_sent() {
        let limit = limit(10.0, 20);
        let mut pace = Pace::unknown(limit, at(0));
        assert_eq!(starts(&mut pace, limit, 0..1_000), 9);
    }

    #[test]
    fn a_fast_rate_is_reached_though_timers_wake_every_millisecond() {
        let limit = limit(3_000.0, 1);
        let mut pace = Pace::fresh();
        let starts = starts(&mut pace, limit, 0..10_000);
        assert!((29_900..=30_000).contains(&starts), "{starts}");
    }

    #[test]
    fn what_was_not_made_is_given_back_while_others_wait_for_it() {
        let limit = limit(1.0, 1);
        let mut pace = Pace::fresh();
        pace.started(limit, at(0));
        pace.not_made(limit, at(0));
        assert_eq!(starts(&mut pace, limit, 20..21), 1);
        // It books nothing any more that could be given back.
        pace.not_made(limit, at(0));
        assert_eq!(starts(&mut pace, limit, 21..1_000), 0);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_has_more_than_the_rate_and_a_burst(
            per_second in 0.5..500_f64,
            burst in 1..50_u32,
            steps in prop::collection::vec((0..3_000_u64, any::<prop::sample::Index>()), 1..60),
        ) {
            let limit = limit(per_second, burst);
            let mut pace = Pace::fresh();
            let mut now = 0;
            let mut times = Vec::new();
            for (gap, not_made) in steps {
                now += gap;
                let count = starts(&mut pace, limit, now..now + 1);
                times.extend(std::iter::repeat_n(now, count));
                if !times.is_empty() && gap % 3 == 0 {
                    let started = times.remove(not_made.index(times.len()));
                    pace.not_made(limit, at(started));
                }
            }
            for (first, from) in times.iter().enumerate() {
                for (last, to) in times.iter().enumerate().skip(first) {
                    let stretch = Duration::from_millis(to - from) + SLACK;
                    let most = f64::from(burst) + stretch.as_secs_f64() * per_second + 0.01;
                    let count = u32::try_from(last - first + 1).unwrap();
                    prop_assert!(f64::from(count) <= most);
                }
            }
        }
    }
}
