//! What is erased, and what it came to.

use super::{Fields, from_timestamp};
use crate::{
    control::{Erased, Error},
    domain::{Erasure, Invalid, TimeRange},
    proto::{EraseEventsRequest, EraseEventsResponse, TimeSpan, erase_events_request::What},
};

/// Checks an `EraseEvents` request.
pub(in crate::grpc) fn from_erase(request: EraseEventsRequest) -> Result<Erasure, Error> {
    let mut fields = Fields::default();
    let what = match request.what {
        None => {
            fields.add(
                "event_id",
                "or subscription_id or accepted is required: the request says not what to erase",
            );
            None
        }
        Some(What::EventId(id)) => fields.parse("event_id", &id).map(Erasure::Event),
        Some(What::SubscriptionId(id)) => fields
            .parse("subscription_id", &id)
            .map(Erasure::Subscription),
        Some(What::Accepted(span)) => {
            fields.go_to("accepted.");
            from_span(&mut fields, span).map(Erasure::Accepted)
        }
    };
    fields.finish(|| what)
}

/// Both ends are required: what is erased does not come back.
fn from_span(fields: &mut Fields, span: TimeSpan) -> Option<TimeRange> {
    let mut end_of = |field, time: Option<_>| {
        let time = time.ok_or(Invalid::new("is required"));
        fields.check(field, time.and_then(from_timestamp))
    };
    let start = end_of("start_time", span.start_time);
    let end = end_of("end_time", span.end_time);
    let (start, end) = (start?, end?);
    if start > end {
        fields.add("end_time", "must not be before start_time");
    }
    Some(TimeRange { start, end })
}

/// What was erased.
pub(in crate::grpc) fn to_erased(erased: Erased) -> EraseEventsResponse {
    EraseEventsResponse {
        erased_events: erased.events,
        erased_attempts: erased.attempts,
        cancelled_deliveries: erased.cancelled,
        shared_events: erased.shared,
    }
}
