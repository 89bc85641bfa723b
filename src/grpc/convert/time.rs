//! Points in time and durations.

use std::time::Duration;

use crate::domain::{Invalid, Timestamp};

/// The last second that a `google.protobuf.Timestamp` can tell: the end of the
/// year 9999.
const MAX_SECONDS: u64 = 253_402_300_799;

pub(super) fn from_timestamp(time: prost_types::Timestamp) -> Result<Timestamp, Invalid> {
    let seconds = u64::try_from(time.seconds).ok();
    let nanos = u64::try_from(time.nanos).ok();
    match (seconds, nanos) {
        (Some(seconds @ 0..=MAX_SECONDS), Some(nanos @ 0..=999_999_999)) => {
            Ok(Timestamp::from_micros(seconds * 1_000_000 + nanos / 1_000))
        }
        _ => Err(Invalid::new(
            "must be a time from 1970 to 9999 with nanos of 0 to 999,999,999",
        )),
    }
}

pub(super) fn to_timestamp(time: Timestamp) -> prost_types::Timestamp {
    let of_second = time.as_micros() % 1_000_000;
    prost_types::Timestamp {
        seconds: i64::try_from(time.as_secs().min(MAX_SECONDS)).unwrap_or(i64::MAX),
        nanos: i32::try_from(of_second * 1_000).unwrap_or(0),
    }
}

pub(super) fn from_duration(duration: prost_types::Duration) -> Result<Duration, Invalid> {
    let seconds = u64::try_from(duration.seconds).ok();
    let nanos = u32::try_from(duration.nanos).ok();
    match (seconds, nanos) {
        (Some(seconds), Some(nanos @ 0..=999_999_999)) => Ok(Duration::new(seconds, nanos)),
        _ => Err(Invalid::new(
            "must not be negative, with nanos of 0 to 999,999,999",
        )),
    }
}

/// The duration as a message.
pub(in crate::grpc) fn to_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_comes_back_as_it_went(seconds in 0..=MAX_SECONDS, micros in 0..1_000_000_u64) {
            let time = Timestamp::from_micros(seconds * 1_000_000 + micros);
            prop_assert_eq!(from_timestamp(to_timestamp(time)), Ok(time));
        }

        #[test]
        fn no_message_panics(seconds: i64, nanos: i32) {
            let _ = from_timestamp(prost_types::Timestamp { seconds, nanos });
            let duration = from_duration(prost_types::Duration { seconds, nanos });
            let valid = seconds >= 0 && (0..1_000_000_000).contains(&nanos);
            prop_assert_eq!(duration.is_ok(), valid);
        }
    }
}
