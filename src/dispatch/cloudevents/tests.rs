//! What CloudEvents tell of an event.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{Attributes, EventId, Payload, TenantId, Timestamp};

const TIME: Timestamp = Timestamp::from_millis(1_705_312_800_000);

fn event(data: &str, content_type: &str, attributes: BTreeMap<String, String>) -> Event {
    let data = Bytes::from(data.to_owned());
    Event {
        id: EventId::new(TIME, 7 << 16),
        tenant: TenantId::default(),
        event_type: "order.shipped".parse().unwrap(),
        payload: Payload::new(data, content_type.parse().unwrap()).unwrap(),
        idempotency_key: None,
        ordering_key: None,
        attributes: Attributes::new(attributes).unwrap(),
        deliver_after: None,
        create_time: TIME,
        erase_time: None,
    }
}

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn lines(headers: &HeaderMap) -> String {
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    headers.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_headers_of_binary_mode_tell_the_event() {
    let attributes = given(&[
        ("subject", "Größe 5%"),
        ("region", "eu \"1\""),
        ("Region", "left out"),
        ("twentyonecharacters21", "left out"),
        ("id", "left out"),
        ("empty", ""),
        ("control", "a\nb"),
    ]);
    let event = event("{}", "application/json", attributes);
    insta::assert_snapshot!(lines(&headers(&event)), @r#"
    ce-specversion: 1.0
    ce-id: evt_01hm690k80e00800000000e000
    ce-source: /postrider/default
    ce-type: order.shipped
    ce-time: 2024-01-15T10:00:00Z
    ce-region: eu%20%221%22
    ce-subject: Gr%C3%B6%C3%9Fe%205%25
    "#);
}

#[test]
fn structured_mode_keeps_json_as_it_was_published() {
    let attributes = given(&[
        ("source", "https://shop.example/a%20b"),
        ("subject", "\"5\""),
    ]);
    let event = event(
        r#"{ "a": 1.0 }"#,
        "application/json; charset=utf-8",
        attributes,
    );
    insta::assert_snapshot!(String::from_utf8_lossy(&structured(&event)), @r#"{"specversion":"1.0","id":"evt_01hm690k80e00800000000e000","source":"https://shop.example/a%20b","type":"order.shipped","time":"2024-01-15T10:00:00Z","subject":"\"5\"","datacontenttype":"application/json; charset=utf-8","data":{ "a": 1.0 }}"#);
}

#[test]
fn structured_mode_sends_other_content_as_base64() {
    let event = event("a,b\n1,2\n", "text/csv", BTreeMap::new());
    let body: serde_json::Value = serde_json::from_slice(&structured(&event)).unwrap();
    assert_eq!(body["data_base64"], "YSxiCjEsMgo=");
    assert_eq!(body["datacontenttype"], "text/csv");
    assert_eq!(body.get("data"), None);
}

#[test]
fn a_source_or_schema_that_is_no_uri_is_left_out() {
    for (source, expected) in [
        ("urn:shop:1", "urn:shop:1"),
        ("/a?b=%C3%A9#c", "/a?b=%C3%A9#c"),
        ("", "/postrider/default"),
        ("a b", "/postrider/default"),
        ("a%2", "/postrider/default"),
        ("\u{e9}", "/postrider/default"),
    ] {
        let event = event("1", "text/json", given(&[("source", source)]));
        let told = decoded(headers(&event)["ce-source"].to_str().unwrap());
        assert_eq!(told, expected, "{source:?}");
    }
    let schema = |value| headers(&event("1", "text/json", given(&[("dataschema", value)])));
    assert_eq!(
        schema("https://shop.example/s")["ce-dataschema"],
        "https://shop.example/s"
    );
    assert!(!schema("/relative").contains_key("ce-dataschema"));
}

fn decoded(value: &str) -> String {
    let bytes = value.bytes().collect::<Vec<_>>();
    let (mut at, mut plain) = (0, Vec::new());
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            plain.push(u8::from_str_radix(&value[at + 1..at + 3], 16).unwrap());
            at += 3;
        } else {
            plain.push(byte);
            at += 1;
        }
    }
    String::from_utf8(plain).unwrap()
}

proptest! {
    #[test]
    fn both_modes_tell_the_same(
        attributes in prop::collection::btree_map(
            prop_oneof!["[a-z0-9]{1,20}", "\\PC{1,15}", Just("source".to_owned())],
            "(?s).{0,50}",
            0..8,
        ),
    ) {
        let event = event("[1]", "application/json", attributes);
        let body: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&structured(&event)).unwrap();
        let mut told: BTreeMap<_, _> = body.into_iter().collect();
        prop_assert_eq!(told.remove("data"), Some(serde_json::json!([1])));
        prop_assert_eq!(told.remove("datacontenttype"), Some("application/json".into()));
        let headers = headers(&event);
        let headers: BTreeMap<_, _> = headers
            .iter()
            .map(|(name, value)| {
                let name = name.as_str().strip_prefix("ce-").unwrap().to_owned();
                (name, serde_json::Value::from(decoded(value.to_str().unwrap())))
            })
            .collect();
        prop_assert_eq!(told, headers);
    }
}

#[test]
fn only_references_of_rfc_3986_are_told_as_a_source() {
    for right in [
        "/a",
        "urn:a:b",
        "http://[::1]/",
        "https://[2001:db8::1]:8443/a?b#c",
        "a%20b",
    ] {
        assert!(is_uri_reference(right), "{right}");
    }
    for wrong in [
        "",
        "http://[",
        "a[b]",
        "//[x]/",
        "http://a/?[",
        "http://a#b#c",
        "a b",
        "%2",
    ] {
        assert!(!is_uri_reference(wrong), "{wrong}");
    }
}
