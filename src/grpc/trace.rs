//! The trace that a publish belongs to: the metadata `traceparent`.

use tonic::metadata::MetadataMap;

use crate::{
    domain::{TRACEPARENT, is_traceparent},
    proto::Event,
};

/// Most attributes of an event that leave room for one more.
const ROOM: usize = 31;

/// Has the events of a call belong to its trace, but for those that name another.
pub(super) fn pass_on<'a>(metadata: &MetadataMap, events: impl IntoIterator<Item = &'a mut Event>) {
    let parent = metadata.get(TRACEPARENT);
    let Some(parent) = parent.and_then(|parent| parent.to_str().ok()) else {
        return;
    };
    if !is_traceparent(parent) {
        return;
    }
    for event in events {
        if event.attributes.len() <= ROOM && !event.attributes.contains_key(TRACEPARENT) {
            let name = TRACEPARENT.to_owned();
            event.attributes.insert(name, parent.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_belongs_to_the_trace_of_its_call_unless_it_names_another() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut metadata = MetadataMap::new();
        metadata.insert(TRACEPARENT, trace.parse().unwrap());
        let with = |count: usize| {
            let attributes = (0..count).map(|n| (format!("key-{n}"), String::new()));
            let attributes = attributes.collect();
            Event {
                attributes,
                ..Event::default()
            }
        };
        let mut events = [with(0), with(31), with(32), with(0)];
        let own = [(TRACEPARENT.to_owned(), "own".to_owned())];
        events[3].attributes.extend(own);
        pass_on(&metadata, &mut events);
        let traces = events.map(|event| event.attributes.get(TRACEPARENT).cloned());
        let trace = Some(trace.to_owned());
        assert_eq!(traces, [trace.clone(), trace, None, Some("own".to_owned())]);

        metadata.insert(TRACEPARENT, "00-none".parse().unwrap());
        let mut event = with(0);
        pass_on(&metadata, [&mut event]);
        assert!(event.attributes.is_empty());
    }
}
