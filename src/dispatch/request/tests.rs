//! What a receiver sees.

use super::*;
use crate::domain::{
    Attributes, ContentType, CustomHeaders, EventId, EventPatterns, LiveSecrets, Payload,
    PayloadFormat, Secret, SubscriptionId, SubscriptionSpec, TenantId,
};

const TIME: Timestamp = Timestamp::from_millis(1_705_312_800_000);

fn event(data: &'static str, content_type: &str) -> Event {
    Event {
        id: EventId::new(TIME, 7 << 16),
        tenant: TenantId::default(),
        event_type: "order.shipped".parse().unwrap(),
        payload: Payload::new(Bytes::from(data), content_type.parse().unwrap()).unwrap(),
        idempotency_key: None,
        ordering_key: None,
        attributes: Attributes::default(),
        deliver_after: None,
        create_time: TIME,
        erase_time: None,
    }
}

fn subscription() -> Subscription {
    let url = "https://client.example/webhooks/orders?v=1"
        .parse()
        .unwrap();
    let patterns = EventPatterns::new(vec!["*".parse().unwrap()]).unwrap();
    let headers = [("X-Team".to_owned(), "blue".to_owned())];
    let spec = SubscriptionSpec {
        headers: CustomHeaders::new(headers).unwrap(),
        ..SubscriptionSpec::new(url, patterns)
    };
    let secrets = LiveSecrets::new(Secret::generate([7; 32]));
    let secrets = secrets
        .rotate(
            Secret::generate([8; 32]),
            LiveSecrets::DEFAULT_OVERLAP,
            TIME,
        )
        .unwrap();
    Subscription::new(
        SubscriptionId::new(TIME, 1),
        TenantId::default(),
        spec,
        secrets,
        TIME,
    )
}

fn shown(request: &Request) -> String {
    let lines = logged(&request.headers).into_iter();
    let lines: Vec<_> = lines
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let body = std::str::from_utf8(&request.body).unwrap();
    format!("POST {}\n{}\n\n{body}", request.url, lines.join("\n"))
        .replace(env!("CARGO_PKG_VERSION"), "<version>")
}

#[test]
fn a_request_is_signed_by_both_schemes_and_all_live_secrets() {
    let endpoint = Endpoint::new(Arc::new(subscription()));
    let event = event(
        r#"{ "orderId": "ord_123" }"#,
        ContentType::default().as_str(),
    );
    let request = endpoint.request(&event, 2, TIME.after(Duration::from_secs(5)));
    insta::assert_snapshot!(shown(&request));
    assert_eq!(request.timeout, Duration::from_secs(15));
}

#[test]
fn what_may_be_a_credential_is_not_logged() {
    let endpoint = Endpoint::new(Arc::new(subscription()));
    let request = endpoint.request(&event("{}", "application/json"), 1, TIME);
    let line = |lines: Headers, name: &str| {
        let mut lines = lines.into_iter();
        lines.find(|line| line.0 == name).unwrap().1
    };
    let of = |name| line(logged_request(&request.headers), name);
    assert_eq!([of("x-team"), of("webhook-attempt")], ["***", "1"]);
    assert_eq!(line(logged(&request.headers), "x-team"), "blue");
}

#[test]
fn the_trace_of_an_event_goes_on() {
    let endpoint = Endpoint::new(Arc::new(subscription()));
    let sent = |value: &str| {
        let mut event = event("{}", ContentType::default().as_str());
        let attributes = [(TRACEPARENT.to_owned(), value.to_owned())];
        event.attributes = Attributes::new(attributes.into()).unwrap();
        let request = endpoint.request(&event, 1, TIME);
        let value = request.headers.get(TRACE);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(sent(trace).as_deref(), Some(trace));
    assert_eq!(sent("00-none"), None);
}

#[test]
fn only_the_schemes_of_the_subscription_are_sent() {
    let of = |scheme| {
        let mut subscription = subscription();
        subscription.spec.signature_schemes = vec![scheme];
        let endpoint = Endpoint::new(Arc::new(subscription));
        let request = endpoint.request(&event("{}", "application/json"), 1, TIME);
        let names = request.headers.keys().map(|name| name.as_str().to_owned());
        names
            .filter(|name| name.contains("webhook-"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(SignatureScheme::StandardWebhooks),
        [
            "webhook-attempt",
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature"
        ]
    );
    assert_eq!(
        of(SignatureScheme::Sha256Body),
        [
            "webhook-attempt",
            "webhook-id",
            "webhook-timestamp",
            "x-webhook-id",
            "x-webhook-timestamp",
            "x-webhook-signature"
        ]
    );
}

#[test]
fn every_format_is_signed_over_the_body_as_sent() {
    let event = event("a,b\n1,2\n", "text/csv");
    for format in [
        PayloadFormat::Envelope,
        PayloadFormat::Raw,
        PayloadFormat::CloudEventsBinary,
        PayloadFormat::CloudEventsStructured,
    ] {
        let mut subscription = subscription();
        subscription.spec.payload_format = format;
        let signer = Signer::new(&subscription.secrets, None);
        let request = Endpoint::new(Arc::new(subscription)).request(&event, 1, TIME);
        let signature = signer.standard_webhooks(&event.id.to_string(), TIME, &request.body);
        assert_eq!(
            request.headers["webhook-signature"], signature,
            "{format:?}"
        );
        let signature = signer.sha256_body(&request.body);
        assert_eq!(
            request.headers["x-webhook-signature"], signature,
            "{format:?}"
        );
    }
}

#[test]
fn a_custom_header_does_not_hide_what_is_told_of_the_event() {
    let mut subscription = subscription();
    let custom = [("ce-id", "mine"), ("ce-own", "kept")];
    let custom = custom.map(|(name, value)| (name.to_owned(), value.to_owned()));
    subscription.spec.headers = CustomHeaders::new(custom).unwrap();
    subscription.spec.payload_format = PayloadFormat::CloudEventsBinary;
    let event = event("{}", "application/json");
    let request = Endpoint::new(Arc::new(subscription)).request(&event, 1, TIME);
    assert_eq!(request.headers["ce-id"], event.id.to_string());
    assert_eq!(request.headers["ce-own"], "kept");
}
