//! The time that a caller gives a call: the header `grpc-timeout` of the gRPC
//! protocol over HTTP/2.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, sleep_until};

use crate::control::Error;

const HEADER: &str = "grpc-timeout";
const MAX_DIGITS: usize = 8;

/// When a call has to be answered, if ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// As the headers say, from now on.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let Some(value) = headers.get(HEADER) else {
            return Ok(Self(None));
        };
        let timeout = value.to_str().ok().and_then(parse).ok_or_else(|| {
            let right = "must be at most 8 digits and a unit: H, M, S, m, u or n";
            Error::invalid(HEADER, right)
        })?;
        if timeout.is_zero() {
            return Err(Error::DeadlineExceeded);
        }
        // What is too long to be added is not waited for either.
        Ok(Self(Instant::now().checked_add(timeout)))
    }

    /// Not later than so long from now.
    pub(super) fn at_most(self, duration: Duration) -> Self {
        let latest = Instant::now() + duration;
        Self(Some(self.0.map_or(latest, |time| time.min(latest))))
    }

    /// The time itself.
    pub(super) fn time(self) -> Option<Instant> {
        self.0
    }

    /// Resolves when it has passed.
    pub(super) async fn passed(self) {
        match self.0 {
            Some(time) => sleep_until(time).await,
            None => std::future::pending().await,
        }
    }
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || digits.len() > MAX_DIGITS {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(number),
        "M" => Duration::from_mins(number),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_over_at_once() {
        let headers = [(HEADER.parse().unwrap(), "0S".parse().unwrap())];
        let deadline = Deadline::of(&headers.into_iter().collect());
        assert!(matches!(deadline, Err(Error::DeadlineExceeded)));
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        assert_eq!(parse("99999999H"), Some(Duration::from_hours(99_999_999)));
        assert_eq!(parse("2M"), Some(Duration::from_mins(2)));
        assert_eq!(parse("100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse("0n"), Some(Duration::ZERO));
        for wrong in ["", "1", "S", "-1S", "+1S", "1s", "123456789S", "1S ", "1é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
