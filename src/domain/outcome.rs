//! What the answer to an attempt, or the lack of one, means.

use std::time::Duration;

use super::Timestamp;

const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A status other than 2xx.
    Status,
    /// A redirect, which is never followed.
    Redirect,
    /// 410: the endpoint is gone for good.
    Gone,
    /// The host name could not be resolved.
    Dns,
    /// No connection could be opened.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The connection broke before the answer was complete.
    Reset,
    /// The answer was larger than the bounds.
    ResponseTooLarge,
    /// The answer was not HTTP.
    Protocol,
    /// The request could not be built.
    Request,
    /// The URL leads to where deliveries may not go.
    Refused,
}

/// The value of a `Retry-After` header (RFC 9110, section 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So long after the answer.
    Delay(Duration),
    /// At this time.
    At(Timestamp),
}

impl RetryAfter {
    /// The time it names, at most 24 hours from now.
    fn time(self, now: Timestamp) -> Timestamp {
        let time = match self {
            Self::Delay(delay) => now.after(delay),
            Self::At(time) => time,
        };
        time.min(now.after(MAX_RETRY_AFTER))
    }
}

/// What came back from an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A complete answer.
    Response {
        /// HTTP status.
        status: u16,
        /// `Retry-After`, if it came and could be read.
        retry_after: Option<RetryAfter>,
    },
    /// An answer whose body did not come to its end, or was too large.
    Cut {
        /// What happened to it.
        kind: ErrorKind,
        /// HTTP status.
        status: u16,
        /// `Retry-After`, if it came and could be read.
        retry_after: Option<RetryAfter>,
    },
    /// No answer.
    Error(ErrorKind),
}

/// What an answer means for the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Delivered.
    Succeeded,
    /// Failed; not to be tried again before the time, if there is one.
    Failed {
        /// Why.
        kind: ErrorKind,
        /// What the endpoint asked for.
        not_before: Option<Timestamp>,
    },
    /// Failed for good: the subscription is to be disabled.
    Gone,
}

impl Outcome {
    /// Classifies an answer that came at `now`.
    pub fn of(answer: Answer, now: Timestamp) -> Self {
        let failed = |kind, not_before| Self::Failed { kind, not_before };
        match answer {
            Answer::Response {
                status,
                retry_after,
            } => match status {
                200..=299 => Self::Succeeded,
                300..=399 => failed(ErrorKind::Redirect, None),
                410 => Self::Gone,
                429 | 503 => failed(
                    ErrorKind::Status,
                    retry_after.map(|retry_after| retry_after.time(now)),
                ),
                _ => failed(ErrorKind::Status, None),
            },
            // What the endpoint asks for stands in the head.
            Answer::Cut {
                kind,
                status,
                retry_after,
            } => {
                let asked = Answer::Response {
                    status,
                    retry_after,
                };
                match Self::of(asked, now) {
                    Self::Failed { not_before, .. } => failed(kind, not_before),
                    Self::Gone => Self::Gone,
                    Self::Succeeded => failed(kind, None),
                }
            }
            Answer::Error(kind) => failed(kind, None),
        }
    }

    /// Why the attempt failed, if it did.
    pub fn error_kind(self) -> Option<ErrorKind> {
        match self {
            Self::Succeeded => None,
            Self::Failed { kind, .. } => Some(kind),
            Self::Gone => Some(ErrorKind::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(status: u16, retry_after: Option<RetryAfter>) -> Answer {
        Answer::Response {
            status,
            retry_after,
        }
    }

    proptest! {
        #[test]
        fn only_2xx_is_delivered_and_only_410_is_for_good(status in 100_u16..1000) {
            let outcome = Outcome::of(answer(status, None), Timestamp::from_secs(1));
            prop_assert_eq!(outcome == Outcome::Succeeded, status / 100 == 2);
            prop_assert_eq!(outcome == Outcome::Gone, status == 410);
            prop_assert_eq!(outcome.error_kind() == Some(ErrorKind::Redirect), status / 100 == 3);
        }
    }

    #[test]
    fn retry_after_counts_for_429_and_503_and_up_to_a_day() {
        let now = Timestamp::from_secs(1_000_000);
        let delay = |seconds| Some(RetryAfter::Delay(Duration::from_secs(seconds)));
        let not_before = |status, retry_after| match Outcome::of(answer(status, retry_after), now) {
            Outcome::Failed { not_before, .. } => not_before,
            other => panic!("{other:?}"),
        };
        let in_seconds = |seconds| Some(now.after(Duration::from_secs(seconds)));
        assert_eq!(not_before(429, delay(90)), in_seconds(90));
        assert_eq!(not_before(503, delay(999_999)), in_seconds(24 * 3_600));
        assert_eq!(not_before(500, delay(90)), None);
        let date = Timestamp::from_secs(1_000_060);
        assert_eq!(not_before(429, Some(RetryAfter::At(date))), Some(date));
    }

    #[test]
    fn the_head_of_an_answer_that_is_cut_counts_but_for_success() {
        let now = Timestamp::from_secs(1_000_000);
        let of = |status, retry_after| {
            let cut = Answer::Cut {
                kind: ErrorKind::Reset,
                status,
                retry_after,
            };
            Outcome::of(cut, now)
        };
        let failed = |not_before| Outcome::Failed {
            kind: ErrorKind::Reset,
            not_before,
        };
        let minute = Duration::from_mins(1);
        let asked = Some(RetryAfter::Delay(minute));
        assert_eq!(of(429, asked), failed(Some(now.after(minute))));
        assert_eq!(of(500, asked), failed(None));
        assert_eq!(of(200, asked), failed(None));
        assert_eq!(of(410, None), Outcome::Gone);
    }
}
