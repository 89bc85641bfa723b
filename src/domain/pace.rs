//! How fast something happens that has a rate limit: attempts to a subscription,
//! publishes of a tenant.

use std::time::Duration;

use super::{RateLimit, Timestamp};

/// How much earlier than its exact time something may start, as timers are not
/// exact.
const SLACK: Duration = Duration::from_millis(5);

/// The generic cell rate algorithm: whatever starts books one interval, or
/// several, and may do so while no more than a burst is booked ahead.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Until when the time is booked.
    booked: Timestamp,
}

impl Pace {
    /// The pace where nothing has started yet.
    pub fn fresh() -> Self {
        Self {
            booked: Timestamp::MIN,
        }
    }

    /// The pace where is not known what has started until `now`: a burst may be
    /// over just now.
    pub fn unknown(limit: RateLimit, now: Timestamp) -> Self {
        Self {
            booked: now.after(ahead(limit)),
        }
    }

    /// When the next one may start.
    pub fn next_start(self, limit: RateLimit) -> Timestamp {
        self.booked.before(ahead(limit).max(SLACK))
    }

    /// Books so many that start together.
    pub fn book(&mut self, limit: RateLimit, count: u32, now: Timestamp) {
        self.booked = self.booked.max(now).after(interval(limit) * count);
    }

    /// Gives back what was booked for one that did not start after all.
    pub fn give_back(&mut self, limit: RateLimit) {
        self.booked = self.booked.before(interval(limit));
    }

    /// Whether nothing is lost when it is forgotten.
    pub fn is_over(self, now: Timestamp) -> bool {
        self.booked <= now
    }
}

/// From one to the next, in whole microseconds and rather too long.
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
                pace.book(limit, 1, now);
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
        assert_eq!(starts(&mut pace, limit, 0..1_000), 10);
    }

    #[test]
    fn many_that_start_together_are_waited_for_together() {
        let limit = limit(10.0, 20);
        let mut pace = Pace::fresh();
        pace.book(limit, 100, at(0));
        assert_eq!(starts(&mut pace, limit, 0..8_095), 0);
        assert_eq!(starts(&mut pace, limit, 8_095..9_095), 10);
    }

    #[test]
    fn a_fast_rate_is_reached_though_timers_wake_every_millisecond() {
        let limit = limit(3_000.0, 1);
        let mut pace = Pace::fresh();
        let starts = starts(&mut pace, limit, 0..10_000);
        assert!((29_900..=30_000).contains(&starts), "{starts}");
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_has_more_than_the_rate_and_a_burst(
            per_second in 0.5..500_f64,
            burst in 1..50_u32,
            gaps in prop::collection::vec(0..3_000_u64, 1..60),
        ) {
            let limit = limit(per_second, burst);
            let mut pace = Pace::fresh();
            let mut now = 0;
            let mut times = Vec::new();
            for gap in gaps {
                now += gap;
                let count = starts(&mut pace, limit, now..now + 1);
                times.extend(std::iter::repeat_n(now, count));
            }
            for (first, from) in times.iter().enumerate() {
                for (last, to) in times.iter().enumerate().skip(first) {
                    let stretch = Duration::from_millis(to - from) + SLACK;
                    let most = f64::from(burst) + stretch.as_secs_f64() * per_second + 1.0;
                    let count = u32::try_from(last - first + 1).unwrap();
                    prop_assert!(f64::from(count) <= most);
                }
            }
        }
    }
}
