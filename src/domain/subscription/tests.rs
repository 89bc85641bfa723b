use super::*;
use crate::domain::EventType;

fn headers(list: &[(&str, &str)]) -> Result<CustomHeaders, Invalid> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    CustomHeaders::new(list.iter().map(owned))
}

#[test]
fn headers_that_would_break_a_delivery_are_refused() {
    let long = "x".repeat(MAX_HEADER_VALUE + 1);
    for (name, value) in [
        ("Host", "x"),
        ("content-length", "1"),
        ("Webhook-Id", "x"),
        ("X-Webhook-Signature", "x"),
        ("", "x"),
        ("a b", "x"),
        ("a", "line\r\nsplit: 1"),
        ("a", " spaced"),
        ("a", "\u{e9}"),
        ("a", &long),
    ] {
        assert!(headers(&[(name, value)]).is_err(), "{name:?}: {value:?}");
    }
    assert!(headers(&[("A", "1"), ("a", "2")]).is_err());
    assert!(headers(&[(&"n".repeat(MAX_HEADER_NAME), "1")]).is_ok());
    assert!(headers(&[(&"n".repeat(MAX_HEADER_NAME + 1), "1")]).is_err());
    // Four of the longest values leave no room for their names.
    let value = "x".repeat(MAX_HEADER_VALUE);
    let longest = ["a", "b", "c", "d"].map(|name| (name, &*value));
    assert!(headers(&longest[..3]).is_ok());
    assert!(headers(&longest).is_err());
    let kept = headers(&[("Authorization", "Bearer x")]).unwrap();
    assert_eq!(kept.as_map()["authorization"], "Bearer x");
}

#[test]
fn lengths_of_text_are_counted_in_bytes_and_told_so() {
    let description = |n| SubscriptionSpec::check_description("\u{e9}".repeat(n));
    assert!(description(512).is_ok());
    let url = format!("https://client.example/{}", "\u{e9}".repeat(1_013));
    for (told, expected) in [
        (
            description(513).unwrap_err(),
            "must be at most 1024 bytes, is 1026",
        ),
        (
            url.parse::<EndpointUrl>().unwrap_err(),
            "must be at most 2048 bytes, is 2049",
        ),
        (
            "\u{e9}".repeat(65).parse::<EventType>().unwrap_err(),
            "must be at most 128 bytes, is 130",
        ),
    ] {
        assert_eq!(told.to_string(), expected);
    }
}

#[test]
fn a_change_raises_the_version_and_an_idle_one_does_not() {
    let now = Timestamp::from_secs(1);
    let events = EventPatterns::new(vec!["*".parse().unwrap()]).unwrap();
    let url = "https://client.example/".parse().unwrap();
    let subscription = Subscription::new(
        SubscriptionId::new(now, 0),
        TenantId::default(),
        SubscriptionSpec::new(url, events),
        LiveSecrets::new(crate::domain::Secret::generate([1; 32])),
        now,
    );
    let state = |state| subscription.with_state(state, StateCode::Requested, String::new(), now);
    assert_eq!(state(State::Active), subscription);
    let disabled = state(State::Disabled);
    assert_eq!(disabled.version, Version(2));
    assert!(subscription.wants(&"a".parse().unwrap()));
    assert!(!disabled.wants(&"a".parse().unwrap()));
}
