//! What filters look at.

use std::cell::OnceCell;

use serde_json::Value as Json;

use crate::domain::{Attributes, Event, EventType, NewEvent, Payload};

/// An event as filters see it. Its payload is parsed when the first of them
/// looks at it, and once for all of them.
#[derive(Debug)]
pub struct Subject<'a> {
    pub(super) event_type: &'a EventType,
    pub(super) attributes: &'a Attributes,
    payload: &'a Payload,
    data: OnceCell<Option<Json>>,
}

impl<'a> Subject<'a> {
    fn new(event_type: &'a EventType, attributes: &'a Attributes, payload: &'a Payload) -> Self {
        Self {
            event_type,
            attributes,
            payload,
            data: OnceCell::new(),
        }
    }

    /// The payload; `None` if it is not JSON, or holds a number beyond doubles.
    pub(super) fn data(&self) -> Option<&Json> {
        let parse = || {
            let json = self.payload.content_type.is_json();
            json.then(|| serde_json::from_slice(&self.payload.data).ok())?
        };
        self.data.get_or_init(parse).as_ref()
    }
}

impl<'a> From<&'a Event> for Subject<'a> {
    fn from(event: &'a Event) -> Self {
        Self::new(&event.event_type, &event.attributes, &event.payload)
    }
}

impl<'a> From<&'a NewEvent> for Subject<'a> {
    fn from(event: &'a NewEvent) -> Self {
        Self::new(&event.event_type, &event.attributes, &event.payload)
    }
}
