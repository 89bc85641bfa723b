//! How fast a subscription may be delivered to.

use std::num::NonZeroU32;

use super::Invalid;

const SLOWEST: f64 = 0.001;
const FASTEST: f64 = 100_000.0;
const MAX_BURST: u32 = 100_000;

/// Deliveries per second in the long run, and how many may come at once after a
/// pause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    per_second: f64,
    burst: NonZeroU32,
}

/// A rate within the bounds is a number.
impl Eq for RateLimit {}

impl RateLimit {
    /// Checks a rate: 0.001 to 100,000 a second.
    pub fn check_per_second(per_second: f64) -> Result<f64, Invalid> {
        if (SLOWEST..=FASTEST).contains(&per_second) {
            Ok(per_second)
        } else {
            Err(Invalid::new(format!(
                "must be {SLOWEST} to {FASTEST}, is {per_second}"
            )))
        }
    }

    /// Checks a burst: 1 to 100,000, or none if zero.
    pub fn check_burst(burst: u32) -> Result<Option<NonZeroU32>, Invalid> {
        if burst <= MAX_BURST {
            Ok(NonZeroU32::new(burst))
        } else {
            Err(Invalid::new(format!(
                "must be 1 to {MAX_BURST}, is {burst}"
            )))
        }
    }

    /// Checks the bounds. Without a burst, what one second allows, rounded up,
    /// may come at once.
    pub fn new(per_second: f64, burst: Option<NonZeroU32>) -> Result<Self, Invalid> {
        let per_second = Self::check_per_second(per_second)?;
        let burst = match burst {
            Some(burst) => burst,
            None => one_second(per_second),
        };
        Self::check_burst(burst.get())?;
        Ok(Self { per_second, burst })
    }

    /// Deliveries per second.
    pub fn per_second(self) -> f64 {
        self.per_second
    }

    /// Deliveries that may come at once after a pause.
    pub fn burst(self) -> NonZeroU32 {
        self.burst
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a checked rate is above 0 and at most 100,000"
)]
fn one_second(per_second: f64) -> NonZeroU32 {
    NonZeroU32::new(per_second.ceil() as u32).expect("what is above 0 rounds up to 1 at least")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_outside_the_bounds_is_refused() {
        for good in [0.001, 0.5, 100_000.0] {
            assert!(RateLimit::new(good, None).is_ok(), "{good}");
        }
        for bad in [0.0, -1.0, 0.000_9, 100_000.1, f64::NAN, f64::INFINITY] {
            assert!(RateLimit::new(bad, None).is_err(), "{bad}");
        }
        assert!(RateLimit::new(1.0, NonZeroU32::new(MAX_BURST + 1)).is_err());
    }

    #[test]
    fn without_a_burst_one_second_may_come_at_once() {
        let burst = |per_second| RateLimit::new(per_second, None).unwrap().burst().get();
        assert_eq!((burst(0.001), burst(1.0), burst(2.5)), (1, 1, 3));
        let given = RateLimit::new(10.0, NonZeroU32::new(1)).unwrap();
        assert_eq!(given.burst().get(), 1);
    }
}
