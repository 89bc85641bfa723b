//! What filters say, and what they may not do.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::domain::{Attributes, ContentType, NewEvent, Payload};

const ORDER: &str = r#"{
    "total": 120.5, "count": 3, "paid": true, "note": null, "email": "jo@client.example",
    "items": [{"sku": "a-1", "qty": 2}, {"sku": "b-2", "qty": 5}],
    "tags": ["new", "eu"]
}"#;

fn event(data: &str, content_type: &str) -> NewEvent {
    let attributes = [("region", "eu"), ("priority", "7")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    NewEvent {
        event_type: "order.shipped".parse().unwrap(),
        payload: Payload {
            data: Bytes::from(data.to_owned()),
            content_type: content_type.parse().unwrap(),
        },
        idempotency_key: None,
        ordering_key: None,
        attributes: Attributes::new(BTreeMap::from(attributes)).unwrap(),
        deliver_after: None,
    }
}

fn order() -> NewEvent {
    event(ORDER, ContentType::default().as_str())
}

fn compile(text: &str) -> Result<Filter, Invalid> {
    Filter::compile(&text.parse().unwrap())
}

fn answer(text: &str, event: &NewEvent) -> Result<bool, Unanswered> {
    let filter = compile(text).unwrap_or_else(|invalid| panic!("{text}: {invalid}"));
    filter.matches(&Subject::from(event))
}

#[test]
fn filters_answer_as_cel_does() {
    for yes in [
        "true",
        "event.type == 'order.shipped'",
        "event.type.startsWith('order.') && !event.type.endsWith('.paid')",
        "event.attributes.region == 'eu' && event.attributes['region'] in ['eu', 'us']",
        "int(event.attributes.priority) >= 7 && double('1.5') == 1.5 && int(2.9) == 2",
        "event.data.total > 100 && event.data.total < 121 && event.data.count == 3.0",
        "event.data.count * 2 - 1 == 5 && event.data.count % 2 == 1 && 7 / 2 == 3",
        "-event.data.count == -3 && 1u + 1 == 2",
        "event.data.paid && event.data.note == null",
        "has(event.data.note) && !has(event.data.missing) && has(event.data)",
        "has(event.attributes.region) && 'region' in event.attributes && 'count' in event.data",
        "event.data.items.exists(i, i.qty > 4) && event.data.items.all(i, i.sku.size() == 3)",
        "event.data.items.exists_one(i, i.qty == 2)",
        "event.data.items.filter(i, i.qty > 1).map(i, i.sku) == ['a-1', 'b-2']",
        "event.data.items.all(i, event.data.tags.exists(t, i.sku != t))",
        "event.data.items[1].sku.contains('b') && event.data.tags[0] == 'new'",
        "size(event.data.tags) == 2 && size('\u{e9}') == 1 && size(event.data) == 7",
        "event.data.email.matches('^[^@]+@client[.]example$')",
        "event.data.total > 100 ? event.data.paid : event.data.missing",
        "event.data.missing == 1 || event.data.paid",
        "!(event.data.missing == 1 && false)",
        "[1, 2, 3].exists(n, n / (n - 2) == 3)",
        "event.data.items == event.data.items && event.data.items[0] != event.data.items[1]",
        "event.data.exists(name, name == 'total')",
        "'b' > 'a' && [1, 'a', null] == [1.0, 'a', null] && event.data.count != 'three'",
    ] {
        assert_eq!(answer(yes, &order()), Ok(true), "{yes}");
    }
    for no in [
        "event.data.total > 121",
        "event.data.items.all(i, i.qty > 2)",
        "'missing' in event.attributes",
        "event.data.tags.exists(t, t == 'us')",
        "event.data.count == '3'",
        "false && event.data.missing",
    ] {
        assert_eq!(answer(no, &order()), Ok(false), "{no}");
    }
}

#[test]
fn what_has_no_answer_says_why() {
    let why = |text: &str| format!("{text}: {}", answer(text, &order()).unwrap_err());
    let asked = [
        "event.data.missing == 1",
        "event.data.total.cents == 1",
        "event.data.total",
        "event.data.count > 'a'",
        "event.data.count / 0 == 1",
        "event.data.items[2].qty == 1",
        "event.data.email + 1 == 1",
        "int(event.attributes.region) == 1",
        "event.data.items.exists(i, i.price > 1)",
        "9223372036854775807 + event.data.count == 1",
    ];
    insta::assert_snapshot!(asked.map(why).join("\n"), @r#"
    event.data.missing == 1: there is no "missing"
    event.data.total.cents == 1: a number has no field "cents"
    event.data.total: a number stands where a boolean must be
    event.data.count > 'a': a number has no order with text
    event.data.count / 0 == 1: divides by zero, or is too large a number
    event.data.items[2].qty == 1: the list is shorter
    event.data.email + 1 == 1: text and a number are not numbers
    int(event.attributes.region) == 1: the text is no whole number
    event.data.items.exists(i, i.price > 1): there is no "price"
    9223372036854775807 + event.data.count == 1: divides by zero, or is too large a number
    "#);
    let text = event("plain", "text/plain");
    insta::assert_snapshot!(answer("event.data.a == 1", &text).unwrap_err(), @"the event's data is not JSON that can be read");
    assert_eq!(answer("has(event.data)", &text), Ok(false));
}

#[test]
fn what_cannot_be_right_is_refused_with_its_place() {
    let nested = format!("{}true{}", "(".repeat(40), ")".repeat(40));
    let deep = compile(&nested).unwrap_err().to_string();
    assert_eq!(deep, "line 1, column 34: nested deeper than 32 levels");
    let why = |text: &str| format!("{text}: {}", compile(text).unwrap_err());
    let asked = [
        "event.data.total >",
        "event.type = 'a'",
        "'a' == event.type &&\n )",
        "event.type == 'a' ? true",
        "total > 100",
        "true &&\n  evnt.type == 'a'",
        "event.kind == 'a'",
        "event.type",
        "event.data.total + 1",
        "event.type > 1",
        "event.type.length == 1",
        "event.type + 'x' == 'ax'",
        "event.attributes.region && true",
        "lower(event.type) == 'a'",
        "event.type.matches(event.data.pattern)",
        "event.type.matches('[')",
        "event.data.items.all(1, true)",
        "{'a': 1} == event.data",
        "b'a' == event.data",
        "has(event)",
        "event.type in 'abc'",
    ];
    insta::assert_snapshot!(asked.map(why).join("\n"), @r#"
    event.data.total >: line 1, column 19: ends before it is complete
    event.type = 'a': line 1, column 12: cannot be read from "= 'a'" on
    'a' == event.type &&
     ): line 2, column 2: cannot be read from ")" on
    event.type == 'a' ? true: line 1, column 1: cannot be read from "event.type == 'a' ? " on
    total > 100: line 1, column 1: there is no "total", only "event"
    true &&
      evnt.type == 'a': line 2, column 3: there is no "evnt", only "event"
    event.kind == 'a': line 1, column 6: event has type, attributes and data, not "kind"
    event.type: line 1, column 6: must be a boolean, is text
    event.data.total + 1: line 1, column 18: must be a boolean, is a number
    event.type > 1: line 1, column 12: text cannot be compared with a number
    event.type.length == 1: line 1, column 11: text has no field "length"
    event.type + 'x' == 'ax': line 1, column 6: must be a number, is text
    event.attributes.region && true: line 1, column 17: must be a boolean, is text
    lower(event.type) == 'a': line 1, column 6: filters have no function "lower" with these arguments
    event.type.matches(event.data.pattern): line 1, column 30: must be a pattern written out as text
    event.type.matches('['): line 1, column 20: error: unclosed character class
    event.data.items.all(1, true): line 1, column 22: must be the name of a variable
    {'a': 1} == event.data: line 1, column 1: objects cannot be made in a filter
    b'a' == event.data: line 1, column 1: bytes are not in JSON
    has(event): line 1, column 5: must be a field, such as event.data.total
    event.type in 'abc': line 1, column 15: must be a list or an object, is text
    "#);
}

#[test]
fn an_expression_that_nests_too_deep_is_refused() {
    let deep = |n: usize| format!("{}true{}", "(".repeat(n), ")".repeat(n));
    assert!(compile(&deep(20)).is_ok());
    assert!(compile(&deep(2_000)).is_err());
    let long = |n: usize| format!("{}1 == 1", "1 + ".repeat(n));
    assert!(compile(&long(90)).is_ok());
    assert!(compile(&long(900)).is_err());
}

#[test]
fn an_evaluation_ends_however_much_it_asks_for() {
    let numbers = vec!["1"; 1_000].join(",");
    let event = event(&format!("[{numbers}]"), "application/json");
    for endless in [
        "event.data.all(a, event.data.all(b, event.data.all(c, a == b && b == c)))",
        "event.data.exists(a, event.data.exists(b, a != b)) || true",
        "event.data.map(a, event.data.map(b, event.data)).size() > 0",
        "event.data.all(a, event.data == event.data)",
    ] {
        let why = answer(endless, &event).unwrap_err().to_string();
        assert_eq!(why, "takes more than 100000 steps", "{endless}");
    }
    let long = format!("\"{}\"", "a".repeat(200_000));
    let event = self::event(&format!("[{long},{numbers}]"), "application/json");
    let searched = "event.data.all(a, event.data[0].contains('b') || true)";
    assert!(answer(searched, &event).is_err());
}

#[test]
fn the_payload_is_parsed_when_it_is_looked_at_first() {
    let broken = event("{", "application/json");
    assert_eq!(answer("event.type == 'order.shipped'", &broken), Ok(true));
    assert!(answer("event.data == 1", &broken).is_err());
    let order = order();
    let subject = Subject::from(&order);
    let parsed: *const _ = subject.data().unwrap();
    assert!(std::ptr::eq(parsed, subject.data().unwrap()));
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "event(\\.(type|data|attributes)(\\.(total|items|region|x))?)?",
        "-?[0-9]{1,20}(\\.[0-9])?u?",
        "'[a-z]{0,3}'",
        "true|null|x|\\[\\]",
    ];
    leaf.prop_recursive(6, 40, 3, |inner| {
        let operator = "&&|\\|\\||==|!=|<|>=|\\+|-|\\*|/|%|in";
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            (
                inner.clone(),
                "all|exists|exists_one|filter|map|contains|matches",
                inner.clone()
            )
                .prop_map(|(a, f, b)| format!("{a}.{f}(x, {b})")),
            ("size|has|int|double|!|-", inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} ? [{b}] : {c}[0])")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_expression_panics(text in prop_oneof![expression(), "\\PC{1,60}", "[ -~]{1,60}"]) {
        let Ok(expression) = text.parse::<FilterExpression>() else { return Ok(()) };
        if let Ok(filter) = Filter::compile(&expression) {
            let answered = Evaluation::of(&Subject::from(&order())).answer(&filter.0).is_ok();
            prop_assert!(answered || filter.matches(&Subject::from(&order())).is_err());
        }
    }
}
