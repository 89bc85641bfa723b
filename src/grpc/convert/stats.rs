//! Counts of attempts.

use std::time::Duration;

use super::{Fields, from_duration, from_timestamp, to_duration, to_timestamp};
use crate::{
    control::Error,
    domain::{Counts, StatsGroup, StatsKey, StatsQuery, TimeRange, Timestamp, floor},
    proto::{
        DeliveryStats, DeliveryStatsDimension as Dimension, DurationQuantiles,
        GetDeliveryStatsRequest, GetDeliveryStatsResponse,
    },
};

const DAY: Duration = Duration::from_hours(24);
const MAX_DAYS: u32 = 92;
const MAX_BUCKET_DAYS: u32 = 31;

/// Checks a `GetDeliveryStats` request that came at `now`.
pub(in crate::grpc) fn from_stats(
    request: &GetDeliveryStatsRequest,
    now: Timestamp,
) -> Result<StatsQuery, Error> {
    let mut fields = Fields::default();
    let subscription_id = fields.parse_optional("subscription_id", &request.subscription_id);
    let event_type = fields.parse_optional("event_type", &request.event_type);
    let started = from_times(&mut fields, request, now);
    let dimensions = fields.check_each("group_by", &request.group_by, |dimension| {
        from_dimension(*dimension)
    });
    let by_span = match request.bucket {
        None => Some(None),
        Some(bucket) => fields
            .check("bucket", from_bucket(bucket))
            .map(Option::Some),
    };
    fields.finish(|| {
        Some(StatsQuery {
            subscription_id,
            event_type,
            started: started?,
            by_subscription: dimensions.contains(&Dimension::Subscription),
            by_event_type: dimensions.contains(&Dimension::EventType),
            by_span: by_span?,
        })
    })
}

/// In whole spans.
fn from_times(
    fields: &mut Fields,
    request: &GetDeliveryStatsRequest,
    now: Timestamp,
) -> Option<TimeRange> {
    let mut time = |field, time: Option<prost_types::Timestamp>, default| match time {
        Some(time) => fields.check(field, from_timestamp(time)),
        None => Some(default),
    };
    let end = time("end_time", request.end_time, now);
    let start = time(
        "start_time",
        request.start_time,
        end.unwrap_or(now).before(DAY),
    );
    let (start, end) = (start?, end?);
    let last = Duration::from_micros(1);
    let range = TimeRange {
        start: floor(start, StatsKey::SPAN),
        end: floor(end.before(last), StatsKey::SPAN).after(StatsKey::SPAN),
    };
    if start >= end {
        fields.add("end_time", "must be after start_time");
    } else if end.since(start) > DAY * MAX_DAYS {
        let wrong = format_args!("must be at most {MAX_DAYS} days after start_time");
        fields.add("end_time", wrong);
    }
    Some(range)
}

fn from_dimension(dimension: i32) -> Result<Dimension, &'static str> {
    match Dimension::try_from(dimension) {
        Ok(known @ (Dimension::Subscription | Dimension::EventType)) => Ok(known),
        Ok(Dimension::Unspecified) | Err(_) => Err(
            "must be DELIVERY_STATS_DIMENSION_SUBSCRIPTION or DELIVERY_STATS_DIMENSION_EVENT_TYPE",
        ),
    }
}

fn from_bucket(bucket: prost_types::Duration) -> Result<Duration, String> {
    let bucket = from_duration(bucket).map_err(|error| error.to_string())?;
    let whole = bucket.as_nanos().is_multiple_of(StatsKey::SPAN.as_nanos());
    if whole && (StatsKey::SPAN..=DAY * MAX_BUCKET_DAYS).contains(&bucket) {
        Ok(bucket)
    } else {
        Err(format!(
            "must be a multiple of 5 minutes (300s), at most {MAX_BUCKET_DAYS} days"
        ))
    }
}

/// The answer to a query.
pub(in crate::grpc) fn to_response(
    groups: &[(StatsGroup, Counts)],
    query: &StatsQuery,
) -> GetDeliveryStatsResponse {
    GetDeliveryStatsResponse {
        stats: groups.iter().map(to_stats).collect(),
        start_time: Some(to_timestamp(query.started.start)),
        end_time: Some(to_timestamp(query.started.end)),
    }
}

fn to_stats((group, counts): &(StatsGroup, Counts)) -> DeliveryStats {
    let (succeeded, failed) = (counts.succeeded(), counts.failed());
    let attempts = succeeded + failed;
    DeliveryStats {
        start_time: group.start.map(to_timestamp),
        subscription_id: group
            .subscription_id
            .map_or_else(String::new, |id| id.to_string()),
        event_type: group
            .event_type
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        attempts,
        succeeded,
        failed,
        success_rate: ratio(succeeded, attempts),
        attempt_duration: to_quantiles(|percent| counts.duration(percent)),
        delivery_duration: to_quantiles(|percent| counts.delivered_within(percent)),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than 53 bits"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn to_quantiles(percentile: impl Fn(u64) -> Option<Duration>) -> Option<DurationQuantiles> {
    let of = |percent| percentile(percent).map(to_duration);
    of(50).is_some().then(|| DurationQuantiles {
        p50: of(50),
        p95: of(95),
        p99: of(99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_705_312_800);

    fn at(seconds: i64) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds, nanos: 0 }
    }

    fn bucket(seconds: i64) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos: 0 }
    }

    fn wrong(request: &GetDeliveryStatsRequest) -> Vec<String> {
        match from_stats(request, NOON) {
            Err(Error::Invalid(violations)) => {
                violations.into_iter().map(|wrong| wrong.field).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn times_are_whole_spans_that_hold_what_was_asked_for() {
        let started =
            |request: GetDeliveryStatsRequest| from_stats(&request, NOON).unwrap().started;
        let day = started(GetDeliveryStatsRequest::default());
        assert_eq!((day.start, day.end), (NOON.before(DAY), NOON));
        let odd = started(GetDeliveryStatsRequest {
            start_time: Some(at(1_705_312_801)),
            end_time: Some(at(1_705_313_101)),
            ..Default::default()
        });
        assert_eq!((odd.start, odd.end), (NOON, NOON.after(StatsKey::SPAN * 2)));
    }

    #[test]
    fn every_wrong_field_is_named() {
        let request = GetDeliveryStatsRequest {
            subscription_id: "x".to_owned(),
            event_type: "a..b".to_owned(),
            start_time: Some(at(5)),
            end_time: Some(at(5)),
            group_by: vec![1, 0, 9],
            bucket: Some(bucket(301)),
        };
        let fields = [
            "subscription_id",
            "event_type",
            "end_time",
            "group_by[1]",
            "group_by[2]",
            "bucket",
        ];
        assert_eq!(wrong(&request), fields);
        for (start, end) in [(5, 4), (0, 93 * 86_400)] {
            let request = GetDeliveryStatsRequest {
                start_time: Some(at(start)),
                end_time: Some(at(end)),
                ..Default::default()
            };
            assert_eq!(wrong(&request), ["end_time"]);
        }
        for seconds in [-300, 0, 299, 32 * 86_400] {
            let request = GetDeliveryStatsRequest {
                bucket: Some(bucket(seconds)),
                ..Default::default()
            };
            assert_eq!(wrong(&request), ["bucket"]);
        }
    }
}
