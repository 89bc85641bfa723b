//! The seam to the network: a request goes out, and what came back, or why
//! nothing did, comes in.

use std::{
    net::SocketAddr,
    time::{Duration, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, header};

use super::Request;
use crate::domain::{Answer, ErrorKind, Phases, RetryAfter, Timestamp};

/// Sends requests.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends the request once and reads the answer, all of it within the
    /// request's timeout. Follows and repeats nothing.
    async fn send(&self, request: Request) -> Received;
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The answer, as far as it came.
    pub response: Option<Response>,
    /// Why there is no complete answer, if there is none.
    pub failure: Option<Failure>,
    /// Where the time went until then.
    pub phases: Phases,
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// First bytes of the body.
    pub body: Bytes,
    /// Whether the body was longer.
    pub truncated: bool,
    /// The server that answered.
    pub peer: Option<SocketAddr>,
}

/// Why there is no complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

impl Received {
    /// Nothing but a failure.
    pub fn failed(failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }

    /// What the domain needs to decide.
    pub fn answer(&self) -> Answer {
        match (&self.failure, &self.response) {
            (Some(failure), Some(response)) => Answer::Cut {
                kind: failure.kind,
                status: response.status,
                retry_after: retry_after(&response.headers),
            },
            (Some(failure), None) => Answer::Error(failure.kind),
            (None, Some(response)) => Answer::Response {
                status: response.status,
                retry_after: retry_after(&response.headers),
            },
            (None, None) => Answer::Error(ErrorKind::Reset),
        }
    }

    /// The failure in words; empty if the answer is a success.
    pub fn error_message(&self) -> String {
        let status = match (&self.failure, &self.response) {
            (Some(failure), _) => return failure.message.clone(),
            (None, Some(response)) => response.status,
            (None, None) => return "no answer came".to_owned(),
        };
        let reason = http::StatusCode::from_u16(status)
            .ok()
            .and_then(|code| code.canonical_reason());
        let answered = match reason {
            Some(reason) => format!("the endpoint answered {status} {reason}"),
            None => format!("the endpoint answered {status}"),
        };
        match status {
            200..=299 => String::new(),
            300..=399 => format!("{answered}; redirects are not followed"),
            _ => answered,
        }
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date. Of several numbers, which a
/// proxy may make of several lines, the largest counts.
fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let numbers: Option<Vec<u64>> = value.split(',').map(|part| seconds(part.trim())).collect();
    if let Some(seconds) = numbers.and_then(|numbers| numbers.into_iter().max()) {
        return Some(RetryAfter::Delay(Duration::from_secs(seconds)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(RetryAfter::At(Timestamp::from_secs(since_epoch.as_secs())))
}

fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than fit ask for longer than is obeyed anyway.
    is_number.then(|| text.parse().unwrap_or(u64::from(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Outcome, damaged::damaged_text};

    proptest! {
        #[test]
        fn whatever_an_endpoint_asks_for_is_waited_for_a_day_at_most(
            value in damaged_text(&["120", "0", "86400", "Sun, 06 Nov 2994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]),
            now in 0_u64..4_000_000_000,
        ) {
            let now = Timestamp::from_secs(now);
            let mut response = Response { status: 429, ..Response::default() };
            if let Ok(value) = value.parse() {
                response.headers.insert(header::RETRY_AFTER, value);
            }
            let received = Received { response: Some(response), ..Received::default() };
            match Outcome::of(received.answer(), now) {
                Outcome::Failed { not_before: Some(time), .. } => {
                    prop_assert!(time <= now.after(Duration::from_hours(24)));
                }
                Outcome::Failed { not_before: None, .. } => {
                    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                    prop_assert!(value.is_empty() || !digits, "{}", value);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let delay = |seconds| Some(RetryAfter::Delay(Duration::from_secs(seconds)));
        let cases = [
            ("120", delay(120)),
            ("0", delay(0)),
            ("99999999999999999999999", delay(u64::from(u32::MAX))),
            (
                "Sun, 06 Nov 1994 08:49:37 GMT",
                Some(RetryAfter::At(Timestamp::from_secs(784_111_777))),
            ),
            ("60, 7200", delay(7_200)),
            ("60, soon", None),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            assert_eq!(retry_after(&headers), expected, "{value:?}");
        }
    }
}
