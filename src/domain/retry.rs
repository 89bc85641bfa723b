//! When a failed delivery is tried again.

use std::time::Duration;

use super::{Invalid, Timestamp};

const SECOND: u64 = 1;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The default delays: 15 attempts over 7.1 days.
const DEFAULT_DELAYS: [u64; 14] = [
    5 * SECOND,
    MINUTE,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    DAY,
    DAY,
    DAY,
    DAY,
    DAY,
];
const DEFAULT_JITTER: f64 = 0.1;

const MAX_DELAYS: usize = 50;
const MAX_DELAY: Duration = Duration::from_secs(7 * DAY);
const MAX_SUM: Duration = Duration::from_secs(28 * DAY);

/// How the delays are given.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// One by one.
    Delays(Vec<Duration>),
    /// Growing by a factor up to a cap, for so many attempts in all.
    Exponential {
        /// Delay before the first retry.
        first: Duration,
        /// Factor from one delay to the next.
        factor: f64,
        /// Largest delay.
        cap: Duration,
        /// Attempts in all.
        attempts: u32,
    },
}

impl Schedule {
    /// Checks how many delays there are.
    pub fn check_count(delays: usize) -> Result<(), Invalid> {
        if delays <= MAX_DELAYS {
            Ok(())
        } else {
            Err(Invalid::new(format!(
                "must be at most {MAX_DELAYS} delays, are {delays}"
            )))
        }
    }

    /// Checks one of the delays.
    pub fn check_delay(delay: Duration) -> Result<Duration, Invalid> {
        if delay <= MAX_DELAY {
            Ok(delay)
        } else {
            Err(Invalid::new("must be at most 7 days"))
        }
    }

    /// Checks the delay before the first retry.
    pub fn check_first(first: Duration) -> Result<Duration, Invalid> {
        if first > Duration::ZERO && first <= MAX_DELAY {
            Ok(first)
        } else {
            Err(Invalid::new("must be above zero and at most 7 days"))
        }
    }

    /// Checks the factor from one delay to the next.
    pub fn check_factor(factor: f64) -> Result<f64, Invalid> {
        if (1.0..=10.0).contains(&factor) {
            Ok(factor)
        } else {
            Err(Invalid::new(format!("must be 1 to 10, is {factor}")))
        }
    }

    /// Checks the largest delay, given the first.
    pub fn check_cap(cap: Duration, first: Duration) -> Result<Duration, Invalid> {
        if cap >= first && cap <= MAX_DELAY {
            Ok(cap)
        } else {
            Err(Invalid::new("must be at least first and at most 7 days"))
        }
    }

    /// Checks the number of attempts in all.
    pub fn check_attempts(attempts: u32) -> Result<u32, Invalid> {
        if (1..=51).contains(&attempts) {
            Ok(attempts)
        } else {
            Err(Invalid::new(format!("must be 1 to 51, is {attempts}")))
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::Delays(delays) => {
                Self::check_count(delays.len())?;
                for delay in delays {
                    Self::check_delay(*delay)?;
                }
            }
            Self::Exponential {
                first,
                factor,
                cap,
                attempts,
            } => {
                Self::check_first(*first)?;
                Self::check_factor(*factor)?;
                Self::check_cap(*cap, *first)?;
                Self::check_attempts(*attempts)?;
            }
        }
        Ok(())
    }

    /// The delay after so many attempts of a chain; none after the last.
    fn delay_after(&self, attempts: u32) -> Option<Duration> {
        let nth = attempts.checked_sub(1)?;
        match self {
            Self::Delays(delays) => delays.get(usize::try_from(nth).ok()?).copied(),
            Self::Exponential {
                first,
                factor,
                cap,
                attempts: all,
            } => (attempts < *all).then(|| {
                let grown =
                    first.as_secs_f64() * factor.powi(i32::try_from(nth).unwrap_or(i32::MAX));
                Duration::try_from_secs_f64(grown).map_or(*cap, |delay| delay.min(*cap))
            }),
        }
    }
}

/// A random number from 0 up to, not including, 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// No jitter at all.
    pub const NONE: Self = Self(0.0);

    /// The number that 32 random bits stand for.
    pub fn from_bits(bits: u32) -> Self {
        Self(f64::from(bits) / (f64::from(u32::MAX) + 1.0))
    }
}

/// The schedule of a delivery whose attempts fail.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    schedule: Schedule,
    jitter: f64,
    max_age: Option<Duration>,
}

impl RetryPolicy {
    /// Checks the bounds; `jitter` is the largest share that is added to a
    /// delay.
    pub fn new(
        schedule: Schedule,
        jitter: Option<f64>,
        max_age: Option<Duration>,
    ) -> Result<Self, Invalid> {
        schedule.check()?;
        let policy = Self {
            schedule,
            jitter: Self::check_jitter(jitter.unwrap_or(DEFAULT_JITTER))?,
            max_age: max_age.map(Self::check_max_age).transpose()?,
        };
        if policy.longest() > MAX_SUM.mul_f64(1.0 + policy.jitter) {
            return Err(Invalid::new(
                "must make delays of at most 28 days in all: use fewer or shorter ones",
            ));
        }
        Ok(policy)
    }

    /// Checks the largest share that is added to a delay.
    pub fn check_jitter(jitter: f64) -> Result<f64, Invalid> {
        if (0.0..=1.0).contains(&jitter) {
            Ok(jitter)
        } else {
            Err(Invalid::new(format!("must be 0 to 1, is {jitter}")))
        }
    }

    /// Checks the age after which a delivery is not tried again.
    pub fn check_max_age(age: Duration) -> Result<Duration, Invalid> {
        if age > Duration::ZERO {
            Ok(age)
        } else {
            Err(Invalid::new("must be above zero, or unset"))
        }
    }

    /// How the delays are given.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Largest share that is added to a delay.
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    /// Age after which a delivery is not tried again.
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// When to try again after so many attempts of a chain that began at
    /// `began`, if at all. Never before `not_before`.
    pub fn next_attempt(
        &self,
        attempts: u32,
        began: Timestamp,
        now: Timestamp,
        not_before: Option<Timestamp>,
        jitter: Jitter,
    ) -> Option<Timestamp> {
        let delay = self.schedule.delay_after(attempts)?;
        let delay = delay + delay.mul_f64(self.jitter * jitter.0);
        let next = now.after(delay).max(not_before.unwrap_or(Timestamp::MIN));
        let too_old = self.max_age.is_some_and(|age| next.since(began) > age);
        (!too_old).then_some(next)
    }

    /// The longest a chain of attempts can last, apart from the attempts.
    pub fn longest(&self) -> Duration {
        let delays = (1..).map_while(|attempts| self.schedule.delay_after(attempts));
        let sum: Duration = delays.sum();
        sum.mul_f64(1.0 + self.jitter)
    }
}

/// 5 s, 1 min, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, then 24 h five
/// times; up to 10 % is added to each.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            schedule: Schedule::Delays(DEFAULT_DELAYS.map(Duration::from_secs).to_vec()),
            jitter: DEFAULT_JITTER,
            max_age: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule() -> impl Strategy<Value = Schedule> {
        let seconds = |max: u64| (1..=max).prop_map(Duration::from_secs);
        let delays = prop::collection::vec(seconds(DAY / 2), 0..=50).prop_map(Schedule::Delays);
        let exponential = (seconds(HOUR), 1.0..=10.0_f64, seconds(DAY / 2), 1_u32..=51).prop_map(
            |(first, factor, extra, attempts)| Schedule::Exponential {
                first,
                factor,
                cap: first + extra,
                attempts,
            },
        );
        prop_oneof![delays, exponential]
    }

    proptest! {
        #[test]
        fn jitter_only_adds_and_retry_after_is_obeyed(
            schedule in schedule(),
            attempts in 1_u32..60,
            bits: u32,
            asked in prop::option::of(0_u64..2 * DAY),
        ) {
            let now = Timestamp::from_secs(1_700_000_000);
            let not_before = asked.map(|s| now.after(Duration::from_secs(s)));
            let policy = RetryPolicy::new(schedule, None, None).unwrap();
            let next = |jitter| policy.next_attempt(attempts, now, now, not_before, jitter);
            let (plain, jittered) = (next(Jitter::NONE), next(Jitter::from_bits(bits)));
            prop_assert_eq!(plain.is_some(), jittered.is_some());
            if let (Some(plain), Some(jittered)) = (plain, jittered) {
                let delay = policy.schedule().delay_after(attempts).unwrap();
                prop_assert!(plain <= jittered);
                prop_assert!(jittered >= now.after(delay));
                prop_assert!(jittered >= not_before.unwrap_or(now));
                let latest = now.after(delay.mul_f64(1.1) + Duration::from_micros(1));
                prop_assert!(jittered <= latest.max(not_before.unwrap_or(now)));
            }
        }

        #[test]
        fn a_schedule_ends(schedule in schedule()) {
            let policy = RetryPolicy::new(schedule, None, None).unwrap();
            let now = Timestamp::from_secs(0);
            prop_assert_eq!(policy.next_attempt(51, now, now, None, Jitter::NONE), None);
            prop_assert!(policy.longest() <= MAX_SUM.mul_f64(1.1));
        }
    }

    #[test]
    fn the_default_is_15_attempts_over_7_days() {
        let policy = RetryPolicy::default();
        let now = Timestamp::from_secs(0);
        let next = |attempts| policy.next_attempt(attempts, now, now, None, Jitter::NONE);
        assert_eq!(next(1), Some(Timestamp::from_secs(5)));
        assert_eq!(next(4), Some(Timestamp::from_secs(30 * 60)));
        assert_eq!(next(14), Some(Timestamp::from_secs(DAY)));
        assert_eq!(next(15), None);
        let tenths = DEFAULT_DELAYS.iter().sum::<u64>() / (DAY / 10);
        assert_eq!(tenths, 71);
    }

    #[test]
    fn an_exponential_schedule_grows_to_its_cap() {
        let schedule = Schedule::Exponential {
            first: Duration::from_secs(1),
            factor: 3.0,
            cap: Duration::from_secs(20),
            attempts: 5,
        };
        let delays: Vec<_> = (1..=5).map(|n| schedule.delay_after(n)).collect();
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(
            delays,
            [seconds(1), seconds(3), seconds(9), seconds(20), None]
        );
    }

    #[test]
    fn a_delivery_past_its_max_age_is_given_up() {
        let schedule = Schedule::Delays(vec![Duration::from_mins(1); 10]);
        let policy = RetryPolicy::new(schedule, None, Some(Duration::from_secs(100))).unwrap();
        let began = Timestamp::from_secs(1_000);
        let next = |attempts, now| {
            policy.next_attempt(
                attempts,
                began,
                Timestamp::from_secs(now),
                None,
                Jitter::NONE,
            )
        };
        assert_eq!(next(1, 1_000), Some(Timestamp::from_secs(1_060)));
        assert_eq!(next(2, 1_060), None);
    }

    #[test]
    fn policies_outside_the_bounds_are_refused() {
        let exponential = |first, factor, cap, attempts| Schedule::Exponential {
            first: Duration::from_secs(first),
            factor,
            cap: Duration::from_secs(cap),
            attempts,
        };
        let bad = [
            Schedule::Delays(vec![Duration::ZERO; 51]),
            Schedule::Delays(vec![Duration::from_secs(7 * DAY + 1)]),
            Schedule::Delays(vec![Duration::from_secs(7 * DAY); 5]),
            exponential(0, 2.0, 10, 5),
            exponential(10, 0.5, 100, 5),
            exponential(10, f64::NAN, 100, 5),
            exponential(10, 2.0, 9, 5),
            exponential(10, 2.0, 100, 0),
            exponential(DAY, 2.0, 7 * DAY, 20),
        ];
        for schedule in bad {
            let shown = format!("{schedule:?}");
            assert!(RetryPolicy::new(schedule, None, None).is_err(), "{shown}");
        }
        let fine = || Schedule::Delays(Vec::new());
        assert!(RetryPolicy::new(fine(), Some(-0.1), None).is_err());
        assert!(RetryPolicy::new(fine(), Some(f64::NAN), None).is_err());
        assert!(RetryPolicy::new(fine(), None, Some(Duration::ZERO)).is_err());
    }
}
