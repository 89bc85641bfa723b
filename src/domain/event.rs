//! Events: what a publisher hands in, and what is kept of it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Attributes, EventId, EventType, Invalid, TRACEPARENT, TenantId, Timestamp, is_traceparent, text,
};

const MAX_KEY: usize = 255;
const MAX_CONTENT_TYPE: usize = 255;
const MAX_AHEAD: Duration = Duration::from_hours(28 * 24);
/// As deep as many parsers of JSON go.
const MAX_NESTING: usize = 128;

/// Media type of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType(Arc<str>);

impl ContentType {
    /// The media type.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the payload is JSON: `application/json`, `text/json` or
    /// anything that ends in `+json`, whatever its parameters.
    pub fn is_json(&self) -> bool {
        let essence = self.0.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json")
    }
}

/// `application/json`.
impl Default for ContentType {
    fn default() -> Self {
        Self(Arc::from("application/json"))
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ContentType {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        let token = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let well_formed = essence
            .split_once('/')
            .is_some_and(|(kind, subtype)| token(kind) && token(subtype));
        let printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if well_formed && printable && text.len() <= MAX_CONTENT_TYPE {
            Ok(Self(Arc::from(text)))
        } else {
            Err(Invalid::new(
                "must be a media type such as \"application/json\", at most 255 bytes",
            ))
        }
    }
}

/// A payload's bytes and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The bytes, delivered as they are.
    pub data: Bytes,
    /// Their media type.
    pub content_type: ContentType,
}

impl Payload {
    /// Checks that the bytes are JSON where the media type says so.
    pub fn new(data: Bytes, content_type: ContentType) -> Result<Self, Invalid> {
        if content_type.is_json() {
            check_json(&data, &content_type)?;
        }
        Ok(Self { data, content_type })
    }
}

/// An event that was handed in and is not accepted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What happened.
    pub event_type: EventType,
    /// The payload.
    pub payload: Payload,
    /// Names the event across repeated calls.
    pub idempotency_key: Option<String>,
    /// Names what the event is in order with.
    pub ordering_key: Option<String>,
    /// Attributes.
    pub attributes: Attributes,
    /// Not delivered before this time.
    pub deliver_after: Option<Timestamp>,
}

impl NewEvent {
    /// Checks an idempotency or ordering key: none if empty.
    pub fn key(text: &str) -> Result<Option<String>, Invalid> {
        text::at_most(text, MAX_KEY)?;
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// Checks that a time to deliver after is at most 28 days ahead.
    pub fn check_deliver_after(time: Timestamp, now: Timestamp) -> Result<Timestamp, Invalid> {
        if time.since(now) > MAX_AHEAD {
            return Err(Invalid::new("must be at most 28 days ahead"));
        }
        Ok(time)
    }

    /// The event as it is accepted.
    pub fn accept(self, id: EventId, tenant: TenantId, now: Timestamp) -> Event {
        Event {
            id,
            tenant,
            event_type: self.event_type,
            payload: self.payload,
            idempotency_key: self.idempotency_key,
            ordering_key: self.ordering_key,
            attributes: self.attributes,
            deliver_after: self.deliver_after,
            create_time: now,
            erase_time: None,
        }
    }
}

/// An accepted event. It never changes, but that its content can be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id; the id's time is `create_time` in whole milliseconds.
    pub id: EventId,
    /// Whose event it is.
    pub tenant: TenantId,
    /// What happened.
    pub event_type: EventType,
    /// The payload.
    pub payload: Payload,
    /// Names the event across repeated calls.
    pub idempotency_key: Option<String>,
    /// Names what the event is in order with.
    pub ordering_key: Option<String>,
    /// Attributes.
    pub attributes: Attributes,
    /// Not delivered before this time.
    pub deliver_after: Option<Timestamp>,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When its payload and attributes were erased; `None` if they were not.
    pub erase_time: Option<Timestamp>,
}

impl Event {
    /// When its deliveries are first due.
    pub fn due(&self) -> Timestamp {
        self.deliver_after
            .map_or(self.create_time, |after| after.max(self.create_time))
    }

    /// The trace that it belongs to, as its attribute `traceparent` says.
    pub fn traceparent(&self) -> Option<&str> {
        let value = self.attributes.as_map().get(TRACEPARENT)?;
        is_traceparent(value).then_some(value)
    }

    /// About how many bytes it takes, apart from its payload.
    pub fn size_without_payload(&self) -> usize {
        let attributes = self.attributes.as_map().iter();
        let attributes: usize = attributes.map(|(key, value)| key.len() + value.len()).sum();
        size_of::<Self>() + attributes
    }

    /// Whether a repeated event with the same idempotency key is this one.
    pub fn is_repeated_by(&self, other: &Self) -> bool {
        self.event_type == other.event_type && self.payload == other.payload
    }
}

/// Checks that the bytes are JSON that receivers can read: RFC 8259 wants it in
/// UTF-8 and lets parsers bound how deep it nests.
fn check_json(data: &[u8], content_type: &ContentType) -> Result<(), Invalid> {
    let text = std::str::from_utf8(data).map_err(|error| {
        Invalid::new(format!(
            "must be JSON in UTF-8, as its content type {content_type} says: the byte at offset {} \
             is not UTF-8",
            error.valid_up_to()
        ))
    })?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| {
        Invalid::new(format!(
            "must be JSON, as its content type {content_type} says: {error}"
        ))
    })?;
    if nests_deeper(data, MAX_NESTING) {
        return Err(Invalid::new(format!(
            "must not nest arrays and objects deeper than {MAX_NESTING} levels"
        )));
    }
    Ok(())
}

/// Whether arrays and objects of this JSON stand in each other to more than
/// `max` levels.
fn nests_deeper(json: &[u8], max: usize) -> bool {
    // Nearly all JSON has fewer brackets altogether, and counting is cheap where
    // the sums fit into bytes. The two differ in one bit, and only they do.
    let opens = |byte: &u8| u8::from(byte | 0x20 == b'{');
    let in_chunk = |chunk: &[u8]| usize::from(chunk.iter().map(opens).sum::<u8>());
    if json.chunks(255).map(in_chunk).sum::<usize>() <= max {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth > max {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content_type(text: &str) -> ContentType {
        text.parse().unwrap()
    }

    #[test]
    fn json_content_must_be_json_and_other_content_need_not() {
        let payload =
            |data: &'static [u8], text| Payload::new(Bytes::from_static(data), content_type(text));
        assert!(payload(b" {\"a\": [1e400, -0]} ", "application/json").is_ok());
        assert!(payload(b"{", "application/json; charset=utf-8").is_err());
        assert!(payload(b"", "application/cloudevents+json").is_err());
        assert!(payload(b"{} {}", "text/json").is_err());
        assert!(payload(b"\xff", "application/json").is_err());
        assert!(payload(b"\xff", "application/octet-stream").is_ok());
    }

    #[test]
    fn json_must_be_utf_8_within_its_strings_too() {
        let refused = Payload::new(
            Bytes::from_static(b"{\"a\":\"\xe9\"}"),
            ContentType::default(),
        );
        assert_eq!(
            refused.unwrap_err().to_string(),
            "must be JSON in UTF-8, as its content type application/json says: the byte at offset \
             6 is not UTF-8"
        );
        let accented = Bytes::from("{\"a\":\"\u{e9}\"}");
        assert!(Payload::new(accented, ContentType::default()).is_ok());
    }

    #[test]
    fn json_nests_to_a_bound_whatever_its_strings_hold() {
        let check = |text: String| Payload::new(Bytes::from(text), ContentType::default());
        let nested = |levels: usize, inner: &str| {
            let (opened, closed) = ("[{\"a\":".repeat(levels / 2), "}]".repeat(levels / 2));
            format!("{opened}{inner}{closed}")
        };
        let brackets = format!("\"\\\\\\\"{}\"", "[{".repeat(1_000));
        assert!(check(nested(128, &brackets)).is_ok());
        assert!(check(format!("[{}[]]", "[],".repeat(1_000))).is_ok());
        assert_eq!(
            check(nested(128, "[]")).unwrap_err().to_string(),
            "must not nest arrays and objects deeper than 128 levels"
        );
        // Deep enough to break a parser that calls itself.
        assert!(check(nested(200_000, "1")).is_err());
    }

    #[test]
    fn a_content_type_is_a_media_type() {
        assert!(content_type("Application/JSON").is_json());
        assert!(!content_type("application/jsonl").is_json());
        for bad in ["", "json", "a/", "/b", "a b/c", "text/plain\n", "a/b/c"] {
            assert!(bad.parse::<ContentType>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_event_is_due_when_it_is_accepted_unless_it_asks_for_later() {
        let event = |deliver_after| {
            NewEvent {
                event_type: "a".parse().unwrap(),
                payload: Payload::new(Bytes::from_static(b"1"), ContentType::default()).unwrap(),
                idempotency_key: None,
                ordering_key: None,
                attributes: Attributes::default(),
                deliver_after,
            }
            .accept(
                EventId::new(Timestamp::from_secs(10), 0),
                TenantId::default(),
                Timestamp::from_secs(10),
            )
        };
        let due = |at: Option<u64>| event(at.map(Timestamp::from_secs)).due().as_secs();
        assert_eq!((due(None), due(Some(5)), due(Some(20))), (10, 10, 20));
    }
}
