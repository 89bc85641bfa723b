use super::*;
use crate::domain::EventType;

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
