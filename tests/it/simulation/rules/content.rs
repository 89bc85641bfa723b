//! A receiver gets what was published, in the shape that its subscription asks for.

use base64::{Engine, engine::general_purpose::STANDARD};
use postrider::domain::{Event, PayloadFormat};
use serde_json::{Value, json};

use super::view::View;
use crate::simulation::history::Request;

pub fn judge(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for seen in &view.seen {
        let started = seen.started.truth;
        let versions = view.versions(seen.subscription, started, started);
        let mut formats = versions
            .iter()
            .flatten()
            .map(|version| version.spec.payload_format);
        let event = view.whole[&seen.delivery.event_id()];
        if !formats.any(|format| is_shown(event, format, seen.request)) {
            let Request { headers, body, .. } = seen.request;
            found.push(format!(
                "{} got {headers:?} {body:?} of {event:?}",
                seen.name()
            ));
        }
    }
    found
}

fn is_shown(event: &Event, format: PayloadFormat, request: &Request) -> bool {
    let header = |name: &str| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let published = Some(event.payload.content_type.as_str());
    let (id, event_type) = (event.id.to_string(), event.event_type.to_string());
    let data = serde_json::from_slice::<Value>(&event.payload.data);
    let body = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
    match format {
        PayloadFormat::Raw => {
            request.body == event.payload.data && header("content-type") == published
        }
        PayloadFormat::CloudEventsBinary => {
            request.body == event.payload.data
                && header("content-type") == published
                && header("ce-id") == Some(&id)
                && header("ce-type") == Some(&event_type)
        }
        PayloadFormat::Envelope => {
            let head = ["id", "type", "createdAt"].map(|key| body[key].as_str());
            let created = event.create_time.to_string();
            let shown = match data {
                Ok(data) => body["data"] == data,
                Err(_) => body["data"] == json!(STANDARD.encode(&event.payload.data)),
            };
            head == [Some(&*id), Some(&event_type), Some(&created)] && shown
        }
        PayloadFormat::CloudEventsStructured => {
            let head = ["id", "type"].map(|key| body[key].as_str());
            let shown = match data {
                Ok(data) => body["data"] == data,
                Err(_) => body["data_base64"] == json!(STANDARD.encode(&event.payload.data)),
            };
            head == [Some(&*id), Some(&event_type)] && shown
        }
    }
}
