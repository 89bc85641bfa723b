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
    /// No complete answer.
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
