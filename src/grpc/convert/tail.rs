//! Tails.

use std::time::Duration;

use super::{
    Fields, delivery::to_attempt, filter::from_filter, from_duration, from_timestamp, to_timestamp,
};
use crate::{
    control::{Error, TailItem, TailRequest, TailStart, TailStep},
    proto::{
        Closing, Heartbeat, Skipped, TailDeliveriesRequest, TailDeliveriesResponse,
        tail_deliveries_request::Start, tail_deliveries_response::Event,
    },
};

const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);

/// Checks a `TailDeliveries` request.
pub(in crate::grpc) fn from_tail(request: TailDeliveriesRequest) -> Result<TailRequest, Error> {
    let mut fields = Fields::default();
    let start = match request.start {
        None => Some(TailStart::Now),
        Some(Start::ResumeToken(token)) => Some(TailStart::After(token)),
        Some(Start::StartTime(time)) => fields
            .check("start_time", from_timestamp(time))
            .map(TailStart::At),
    };
    let heartbeat = match request.heartbeat_interval {
        None => Some(DEFAULT_HEARTBEAT),
        Some(interval) => fields.check("heartbeat_interval", from_duration(interval)),
    };
    let bounds = Duration::from_secs(1)..=Duration::from_mins(1);
    if heartbeat.is_some_and(|heartbeat| !bounds.contains(&heartbeat)) {
        fields.add("heartbeat_interval", "must be 1 to 60 seconds");
    }
    let filter = request.filter.unwrap_or_default();
    if filter.start_time.is_some() || filter.end_time.is_some() {
        fields.add(
            "filter.start_time",
            "and filter.end_time must be unset in a tail",
        );
    }
    let filter = from_filter(&mut fields, &filter, false);
    fields.finish(|| {
        Some(TailRequest {
            filter: filter?,
            start: start?,
            heartbeat: heartbeat?,
        })
    })
}

/// The step as a message.
pub(in crate::grpc) fn to_response(step: TailStep) -> TailDeliveriesResponse {
    let event = match step.item {
        TailItem::Attempt(attempt) => Event::Attempt(to_attempt(&attempt)),
        TailItem::Heartbeat(time) => Event::Heartbeat(Heartbeat {
            time: Some(to_timestamp(time)),
        }),
        TailItem::Skipped(before) => Event::Skipped(Skipped {
            removed_before_time: Some(to_timestamp(before)),
        }),
        TailItem::Closing => Event::Closing(Closing {}),
    };
    TailDeliveriesResponse {
        event: Some(event),
        resume_token: step.resume_token,
    }
}
