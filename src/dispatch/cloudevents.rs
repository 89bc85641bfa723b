//! Events as CloudEvents 1.0.2, by its JSON format and its HTTP binding.
//!
//! The attributes of an event become extension attributes of the same names
//! where CloudEvents allows the name and the value, and are left out where it
//! does not. `subject` and `dataschema` are CloudEvents' own and mean the same;
//! `source` stands in place of the source that names the tenant.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::{Host, Url};

use crate::domain::Event;

/// Media type of structured mode.
pub(super) const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/cloudevents+json");

/// How the media types of CloudEvents begin.
const PREFIX: &str = "application/cloudevents";
const SPEC_VERSION: &str = "1.0";
/// What the specification asks names not to exceed, and libraries insist on.
const MAX_NAME: usize = 20;

/// Whether the payload is a `CloudEvent`, or several.
pub(super) fn is_one(event: &Event) -> bool {
    let media_type = event.payload.content_type.as_str();
    let start = media_type.get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Binary mode: the headers beside the publisher's bytes.
pub(super) fn headers(event: &Event) -> HeaderMap {
    let header = |(name, value): (&str, String)| {
        let name = HeaderName::try_from(format!("ce-{name}"));
        let value = HeaderValue::try_from(percent_encoded(&value));
        (
            name.expect("names are lower-case letters and digits"),
            value.expect("encoded values are visible ASCII"),
        )
    };
    attributes(event).into_iter().map(header).collect()
}

/// Structured mode: one JSON object. JSON stands in it as it was published,
/// byte for byte; anything else as base64.
pub(super) fn structured(event: &Event) -> Bytes {
    let payload = &event.payload;
    let mut head = String::from("{");
    for (name, value) in attributes(event) {
        write_member(&mut head, name, &value);
    }
    write_member(&mut head, "datacontenttype", payload.content_type.as_str());
    if payload.content_type.is_json() {
        let mut body = Vec::with_capacity(head.len() + payload.data.len() + 8);
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(br#""data":"#);
        body.extend_from_slice(&payload.data);
        body.push(b'}');
        Bytes::from(body)
    } else {
        head.push_str(r#""data_base64":""#);
        STANDARD.encode_string(&payload.data, &mut head);
        head.push_str("\"}");
        Bytes::from(head)
    }
}

/// Every attribute but that of the content type, which each mode writes its own
/// way.
fn attributes(event: &Event) -> Vec<(&str, String)> {
    let given = event.attributes.as_map();
    let source = given.get("source").filter(|text| is_uri_reference(text));
    let source = source.cloned();
    let source = source.unwrap_or_else(|| format!("/postrider/{}", event.tenant));
    let mut attributes = vec![
        ("specversion", SPEC_VERSION.to_owned()),
        ("id", event.id.to_string()),
        ("source", source),
        ("type", event.event_type.to_string()),
        ("time", event.create_time.to_string()),
    ];
    let given = given.iter().filter(|(name, value)| allowed(name, value));
    attributes.extend(given.map(|(name, value)| (name.as_str(), value.clone())));
    attributes
}

/// Whether an attribute of an event can be told in CloudEvents.
fn allowed(name: &str, value: &str) -> bool {
    let name_allowed = match name {
        "specversion" | "id" | "source" | "type" | "time" | "datacontenttype" | "data" => false,
        "dataschema" => is_uri_reference(value) && Url::parse(value).is_ok(),
        _ => {
            let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            name.len() <= MAX_NAME && name.bytes().all(allowed)
        }
    };
    name_allowed && !value.is_empty() && !value.chars().any(is_forbidden)
}

/// Control characters and what Unicode keeps for no character.
fn is_forbidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

/// Whether there are characters, all of them of RFC 3986, `#` once at most and
/// brackets around an address of IPv6 alone.
fn is_uri_reference(text: &str) -> bool {
    let url = Url::parse(text).ok();
    let has_address = url.is_some_and(|url| matches!(url.host(), Some(Host::Ipv6(_))));
    let brackets = text.bytes().filter(|b| b"[]".contains(b)).count();
    if brackets != 2 * usize::from(has_address) || text.matches('#').count() > 1 {
        return false;
    }
    let mut parts = text.split('%');
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&b);
    let first = parts.next().unwrap_or_default();
    let escaped = |part: &str| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            && part.bytes().all(allowed)
    };
    !text.is_empty() && first.bytes().all(allowed) && parts.all(escaped)
}

/// HTTP binding 1.0.2, 3.1.3.2: visible ASCII but for `"` and `%` stands for
/// itself, anything else is its UTF-8 as `%XY`.
fn percent_encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    encoded
}

fn write_member(object: &mut String, name: &str, value: &str) {
    let value = serde_json::Value::from(value);
    write!(object, r#""{name}":{value},"#).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests;
