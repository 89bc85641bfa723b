//! Rates, as text.

use std::num::NonZeroU32;

use super::format::{Format, quoted};
use crate::domain::RateLimit;

/// A rate such as `100/s` or `100/s burst 500`.
pub(super) struct Rate;

impl Format for Rate {
    type Value = RateLimit;

    fn parse(text: &str) -> Option<RateLimit> {
        let (rate, burst) = match text.split_once("burst") {
            Some((rate, burst)) => (rate, Some(burst.trim().parse::<NonZeroU32>().ok()?)),
            None => (text, None),
        };
        let per_second = rate.trim().strip_suffix("/s")?.parse().ok()?;
        RateLimit::new(per_second, burst).ok()
    }

    fn write(value: &RateLimit) -> String {
        let (per_second, burst) = (value.per_second(), value.burst());
        quoted(format!("{per_second}/s burst {burst}"))
    }

    fn expected() -> String {
        "a rate from 0.001/s to 100000/s, with how many may come at once, or else as many as in a \
         second, such as \"100/s burst 500\" or \"100/s\""
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_back_and_anything_else_is_refused() {
        for (text, written) in [
            ("100/s", "100/s burst 100"),
            ("2.5/s", "2.5/s burst 3"),
            ("100/s burst 500", "100/s burst 500"),
        ] {
            let rate = Rate::parse(text).unwrap();
            assert_eq!(Rate::write(&rate), quoted(written));
            assert_eq!(Rate::parse(written), Some(rate));
        }
        for bad in [
            "100",
            "/s",
            "0/s",
            "100/m",
            "100/s burst",
            "100/s burst 0",
            "x/s",
        ] {
            assert_eq!(Rate::parse(bad), None, "{bad}");
        }
    }
}
