//! What a delivery carries, in the format that its subscription asks for.
//! Knows nothing of signatures and of how it is sent.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::cloudevents;
use crate::domain::{Event, PayloadFormat};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A body and the headers that describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) media_type: HeaderValue,
    /// What is told of the event beside its body.
    pub(super) attributes: HeaderMap,
    pub(super) body: Bytes,
}

impl Content {
    /// The event in this format.
    pub(super) fn new(event: &Event, format: PayloadFormat) -> Self {
        match format {
            PayloadFormat::Envelope => Self::alone(JSON, envelope(event)),
            PayloadFormat::Raw => Self::alone(published_type(event), event.payload.data.clone()),
            PayloadFormat::CloudEventsBinary if !cloudevents::is_one(event) => Self {
                media_type: published_type(event),
                attributes: cloudevents::headers(event),
                body: event.payload.data.clone(),
            },
            // A payload that is a CloudEvent itself would be taken for this one.
            PayloadFormat::CloudEventsBinary | PayloadFormat::CloudEventsStructured => {
                Self::alone(cloudevents::MEDIA_TYPE, cloudevents::structured(event))
            }
        }
    }

    fn alone(media_type: HeaderValue, body: Bytes) -> Self {
        Self {
            media_type,
            attributes: HeaderMap::new(),
            body,
        }
    }
}

fn published_type(event: &Event) -> HeaderValue {
    let content_type = event.payload.content_type.as_str();
    HeaderValue::from_str(content_type).expect("content types are printable ASCII")
}

/// `{"id":...,"type":...,"createdAt":...,"data":...}`. JSON stands in it as it
/// was published, byte for byte; anything else as base64.
fn envelope(event: &Event) -> Bytes {
    let payload = &event.payload;
    // Neither ids nor event types nor times need escaping.
    let head = format!(
        r#"{{"id":"{}","type":"{}","createdAt":"{}","data":"#,
        event.id, event.event_type, event.create_time
    );
    let mut body = Vec::with_capacity(head.len() + payload.data.len() * 4 / 3 + 128);
    body.extend_from_slice(head.as_bytes());
    if payload.content_type.is_json() {
        body.extend_from_slice(&payload.data);
    } else {
        let content_type = serde_json::Value::from(payload.content_type.as_str());
        let data = STANDARD.encode(&payload.data);
        let rest = format!(r#""{data}","dataEncoding":"base64","dataContentType":{content_type}"#);
        body.extend_from_slice(rest.as_bytes());
    }
    body.push(b'}');
    Bytes::from(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Attributes, EventId, Payload, TenantId, Timestamp};

    fn event(data: &'static str, content_type: &str) -> Event {
        let time = Timestamp::from_millis(1_705_312_800_000);
        Event {
            id: EventId::new(time, 7 << 16),
            tenant: TenantId::default(),
            event_type: "order.shipped".parse().unwrap(),
            payload: Payload::new(Bytes::from(data), content_type.parse().unwrap()).unwrap(),
            idempotency_key: None,
            ordering_key: None,
            attributes: Attributes::default(),
            deliver_after: None,
            create_time: time,
            erase_time: None,
        }
    }

    #[test]
    fn what_is_not_json_is_sent_as_base64() {
        let event = event("a,b\n1,2\n", r#"text/csv; name="a b""#);
        let body = envelope(&event);
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({
            "id": event.id.to_string(),
            "type": "order.shipped",
            "createdAt": "2024-01-15T10:00:00Z",
            "data": "YSxiCjEsMgo=",
            "dataEncoding": "base64",
            "dataContentType": "text/csv; name=\"a b\"",
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn the_readme_shows_how_other_content_is_sent() {
        let body = envelope(&event("a,b\n1,2\n", "text/csv"));
        let (_, data) = std::str::from_utf8(&body)
            .unwrap()
            .split_once(r#","data":"#)
            .unwrap();
        let readme = include_str!("../../README.md");
        assert!(readme.contains(data), "README.md does not show {data}");
    }

    #[test]
    fn raw_and_binary_carry_the_publishers_bytes() {
        let nested = event("{}", "Application/CloudEvents+json");
        let event = event("a,b\n", "text/csv; header=present");
        for format in [PayloadFormat::Raw, PayloadFormat::CloudEventsBinary] {
            let content = Content::new(&event, format);
            assert_eq!(content.body, event.payload.data, "{format:?}");
            assert_eq!(content.media_type, "text/csv; header=present");
        }
        let content = Content::new(&nested, PayloadFormat::CloudEventsBinary);
        assert_eq!(content.media_type, cloudevents::MEDIA_TYPE);
        let raw = Content::new(&event, PayloadFormat::Raw);
        assert_eq!(raw.attributes, HeaderMap::new());
    }
}
