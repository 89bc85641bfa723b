//! Events.

use bytes::Bytes;

use super::{Fields, from_timestamp, json, to_timestamp};
use crate::{
    control::{Accepted, Error, EventFilter, Filter, Limits, List, Listed, View},
    domain::{
        Attributes, ContentType, Event, EventId, EventType, Invalid, NewEvent, Payload, TimeRange,
        Timestamp,
    },
    proto::{
        self, BatchPublishEventsRequest, EventView, GetEventRequest, ListEventsRequest,
        ListEventsResponse, PublishEventResponse, TestFilterRequest, event::Payload as Sent,
    },
};

/// Checks the event of a `PublishEvent` request or of one item of a stream.
pub(in crate::grpc) fn from_publish(
    event: Option<proto::Event>,
    limits: Limits,
    now: Timestamp,
) -> Result<NewEvent, Error> {
    let event = event.ok_or_else(|| Error::invalid("event", "is required"))?;
    check_size("event.", &event, limits.max_payload_bytes)?;
    let mut fields = Fields::at("event.");
    let event = from_event(&mut fields, event, now, EventType::check_publishable);
    let event = fields.finish(|| event)?;
    check_text("event.", &event, limits.max_payload_bytes)?;
    Ok(event)
}

/// Checks a `TestFilter` request.
pub(in crate::grpc) fn from_test_filter(
    request: TestFilterRequest,
    limits: Limits,
    now: Timestamp,
) -> Result<(Filter, NewEvent), Error> {
    let event = request.event.unwrap_or_default();
    check_size("event.", &event, limits.max_payload_bytes)?;
    let mut fields = Fields::default();
    let filter = fields.parse("filter", &request.filter);
    let filter = filter.and_then(|filter| fields.check("filter", Filter::compile(&filter)));
    fields.go_to("event.");
    let event = from_event(&mut fields, event, now, Ok);
    fields.finish(|| Some((filter?, event?)))
}

/// Checks all events of a batch.
pub(in crate::grpc) fn from_batch(
    request: BatchPublishEventsRequest,
    limits: Limits,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let count = request.events.len();
    if count == 0 || count > limits.max_batch_events {
        let max = limits.max_batch_events;
        let wrong = format!("must be 1 to {max} events, are {count}");
        return Err(Error::invalid("events", wrong));
    }
    for (n, event) in request.events.iter().enumerate() {
        check_size(&format!("events[{n}]."), event, limits.max_payload_bytes)?;
    }
    let mut fields = Fields::default();
    let mut events = Vec::with_capacity(count);
    for (n, event) in request.events.into_iter().enumerate() {
        fields.go_to(format!("events[{n}]."));
        let publishable = EventType::check_publishable;
        events.extend(from_event(&mut fields, event, now, publishable));
    }
    let events = fields.finish(|| Some(events))?;
    let mut sum = 0;
    for (n, event) in events.iter().enumerate() {
        check_text(&format!("events[{n}]."), event, limits.max_payload_bytes)?;
        sum += event.payload.data.len();
    }
    at_most("events".to_owned(), sum, limits.max_batch_bytes)?;
    Ok(events)
}

fn payload_size(event: &proto::Event) -> usize {
    match &event.payload {
        Some(Sent::Data(data)) => data.len(),
        Some(Sent::Json(value)) => prost::Message::encoded_len(value),
        None => 0,
    }
}

/// Large payloads are refused before anything else looks at them.
fn check_size(path: &str, event: &proto::Event, max: usize) -> Result<(), Error> {
    let name = match event.payload {
        Some(Sent::Json(_)) => "json",
        _ => "data",
    };
    at_most(format!("{path}{name}"), payload_size(event), max)
}

/// A value can be longer as text than it was on the wire, by its escapes; bytes
/// cannot, so only `json` is found too large here.
fn check_text(path: &str, event: &NewEvent, max: usize) -> Result<(), Error> {
    at_most(format!("{path}json"), event.payload.data.len(), max)
}

fn at_most(field: String, size: usize, max: usize) -> Result<(), Error> {
    if size <= max {
        Ok(())
    } else {
        Err(Error::PayloadTooLarge { field, size, max })
    }
}

fn from_event(
    fields: &mut Fields,
    event: proto::Event,
    now: Timestamp,
    check_type: fn(EventType) -> Result<EventType, Invalid>,
) -> Option<NewEvent> {
    let event_type = fields.check("type", event.r#type.parse().and_then(check_type));
    let content_type = match event.content_type.as_str() {
        "" => Some(ContentType::default()),
        text => fields.parse("content_type", text),
    };
    let payload = from_payload(fields, event.payload, content_type);
    let idempotency_key = NewEvent::key(&event.idempotency_key);
    let idempotency_key = fields.check("idempotency_key", idempotency_key);
    let ordering_key = fields.check("ordering_key", NewEvent::key(&event.ordering_key));
    let attributes = Attributes::new(event.attributes.into_iter().collect());
    let attributes = fields.check("attributes", attributes);
    let deliver_after = event
        .deliver_after
        .map(|time| from_timestamp(time).and_then(|time| NewEvent::check_deliver_after(time, now)));
    let deliver_after = match deliver_after {
        Some(time) => fields.check("deliver_after", time).map(Some),
        None => Some(None),
    };
    Some(NewEvent {
        event_type: event_type?,
        payload: payload?,
        idempotency_key: idempotency_key?,
        ordering_key: ordering_key?,
        attributes: attributes?,
        deliver_after: deliver_after?,
    })
}

fn from_payload(
    fields: &mut Fields,
    sent: Option<Sent>,
    content_type: Option<ContentType>,
) -> Option<Payload> {
    match sent {
        None => {
            fields.add("data", "or json is required: the event has no payload");
            None
        }
        Some(Sent::Data(data)) => fields.check("data", Payload::new(data, content_type?)),
        Some(Sent::Json(value)) => {
            let data = fields.check("json", json::from_value(&value));
            let content_type = content_type?;
            if !content_type.is_json() {
                fields.add("content_type", "must be a JSON type where json is set");
            }
            Some(Payload {
                data: Bytes::from(data?),
                content_type,
            })
        }
    }
}

/// Checks a `GetEvent` request.
pub(in crate::grpc) fn from_get(request: &GetEventRequest) -> Result<(EventId, View), Error> {
    let mut fields = Fields::default();
    let id = fields.parse("id", &request.id);
    let view = from_view(&mut fields, request.view);
    fields.finish(|| Some((id?, view?)))
}

/// Checks a `ListEvents` request.
pub(in crate::grpc) fn from_list(
    request: ListEventsRequest,
) -> Result<(EventFilter, View, List), Error> {
    let mut fields = Fields::default();
    let types = fields.parse_each("types", &request.types);
    let view = from_view(&mut fields, request.view);
    let accepted = from_range(&mut fields, request.start_time, request.end_time);
    let list = List {
        page_size: List::check_size(request.page_size, fields.violations()),
        page_token: request.page_token,
    };
    fields.finish(|| {
        let filter = EventFilter {
            types,
            accepted: accepted?,
        };
        Some((filter, view?, list))
    })
}

fn from_view(fields: &mut Fields, view: i32) -> Option<View> {
    match EventView::try_from(view) {
        Ok(EventView::Unspecified | EventView::Basic) => Some(View::Basic),
        Ok(EventView::Full) => Some(View::Full),
        Err(_) => {
            fields.add("view", format_args!("must be BASIC or FULL, is {view}"));
            None
        }
    }
}

/// From a start to an end, each open if unset.
pub(super) fn from_range(
    fields: &mut Fields,
    start: Option<prost_types::Timestamp>,
    end: Option<prost_types::Timestamp>,
) -> Option<TimeRange> {
    let start = match start {
        Some(time) => fields.check("start_time", from_timestamp(time)),
        None => Some(Timestamp::MIN),
    };
    let end = match end {
        Some(time) => fields.check("end_time", from_timestamp(time)),
        None => Some(Timestamp::MAX),
    };
    let (start, end) = (start?, end?);
    if start > end {
        fields.add("end_time", "must not be before start_time");
    }
    Some(TimeRange { start, end })
}

/// The answer to a published event.
pub(in crate::grpc) fn to_published(accepted: Accepted) -> PublishEventResponse {
    PublishEventResponse {
        event_id: accepted.event_id.to_string(),
        duplicate: accepted.duplicate,
        delivery_count: accepted.delivery_count,
    }
}

/// The event as a message, with its payload if the view is full.
pub(in crate::grpc) fn to_event(event: Event, view: View) -> proto::Event {
    proto::Event {
        id: event.id.to_string(),
        tenant: event.tenant.to_string(),
        r#type: event.event_type.to_string(),
        payload: (view == View::Full && event.erase_time.is_none())
            .then_some(Sent::Data(event.payload.data)),
        content_type: event.payload.content_type.to_string(),
        idempotency_key: event.idempotency_key.unwrap_or_default(),
        ordering_key: event.ordering_key.unwrap_or_default(),
        attributes: event.attributes.as_map().clone().into_iter().collect(),
        deliver_after: event.deliver_after.map(to_timestamp),
        create_time: Some(to_timestamp(event.create_time)),
        erase_time: event.erase_time.map(to_timestamp),
    }
}

/// A page of events.
pub(in crate::grpc) fn to_listed(listed: Listed<Event>, view: View) -> ListEventsResponse {
    let events = listed.items.into_iter().map(|event| to_event(event, view));
    ListEventsResponse {
        events: events.collect(),
        next_page_token: listed.next_page_token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_type_is_not_published_in_any_way() {
        let event = proto::Event {
            r#type: "postrider.delivery.failed".to_owned(),
            payload: Some(Sent::Data("{}".into())),
            ..Default::default()
        };
        let wrong = |error| match error {
            Error::Invalid(violations) => violations[0].field.clone(),
            other => panic!("{other:?}"),
        };
        let (limits, now) = (Limits::default(), Timestamp::MIN);
        let published = from_publish(Some(event.clone()), limits, now);
        assert_eq!(wrong(published.unwrap_err()), "event.type");
        let events = vec![event];
        let batch = from_batch(BatchPublishEventsRequest { events }, limits, now);
        assert_eq!(wrong(batch.unwrap_err()), "events[0].type");
    }
}
