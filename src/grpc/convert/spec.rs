//! What the owner of a subscription decides, field by field.

use super::{Fields, from_duration, retry_policy::from_retry_policy};
use crate::{
    control::{Filter, SpecPatch},
    domain::{
        CustomHeaders, EventPatterns, FilterExpression, Labels, PayloadFormat, RateLimit,
        SignatureScheme, SubscriptionSpec, Timeout,
    },
    proto,
};

/// The fields that a mask may name.
pub(super) const MUTABLE: [&str; 13] = [
    "url",
    "events",
    "description",
    "headers",
    "labels",
    "retry_policy",
    "timeout",
    "max_in_flight",
    "rate_limit",
    "ordered",
    "payload_format",
    "signature_schemes",
    "filter",
];

/// Checks the fields that are named and notes what is wrong with them.
pub(super) fn from_spec(
    fields: &mut Fields,
    subscription: proto::Subscription,
    named: impl Fn(&str) -> bool,
) -> SpecPatch {
    let mut patch = SpecPatch::default();
    if named("url") {
        patch.url = fields.parse("url", &subscription.url);
    }
    if named("events") {
        patch.events = from_events(fields, &subscription.events);
    }
    if named("description") {
        let description = SubscriptionSpec::check_description(subscription.description);
        patch.description = fields.check("description", description);
    }
    if named("headers") {
        patch.headers = fields.check("headers", CustomHeaders::new(subscription.headers));
    }
    if named("labels") {
        let labels = Labels::new(subscription.labels.into_iter().collect());
        patch.labels = fields.check("labels", labels);
    }
    if named("retry_policy") {
        patch.retry_policy = from_retry_policy(fields, subscription.retry_policy);
    }
    if named("timeout") {
        patch.timeout = match subscription.timeout {
            None => Some(Timeout::default()),
            Some(timeout) => {
                let timeout = from_duration(timeout).and_then(Timeout::new);
                fields.check("timeout", timeout)
            }
        };
    }
    if named("max_in_flight") {
        let checked = SubscriptionSpec::check_max_in_flight(subscription.max_in_flight);
        patch.max_in_flight = fields.check("max_in_flight", checked);
    }
    if named("rate_limit") {
        let limit = subscription.rate_limit;
        patch.rate_limit = Some(limit.and_then(|limit| from_rate_limit(fields, limit)));
    }
    if named("ordered") {
        patch.ordered = Some(subscription.ordered);
    }
    if named("payload_format") {
        patch.payload_format = from_payload_format(fields, subscription.payload_format);
    }
    if named("signature_schemes") {
        patch.signature_schemes = Some(from_schemes(fields, &subscription.signature_schemes));
    }
    if named("filter") {
        patch.filter = Some(from_filter(fields, &subscription.filter));
    }
    patch
}

fn from_events(fields: &mut Fields, events: &[String]) -> Option<EventPatterns> {
    let patterns = fields.parse_each("events", events);
    if patterns.len() < events.len() {
        return None; // What is wrong is noted already.
    }
    fields.check("events", EventPatterns::new(patterns))
}

/// Checks that a filter can be compiled: none if it is empty.
pub(super) fn from_filter(fields: &mut Fields, filter: &str) -> Option<FilterExpression> {
    let expression = fields.parse_optional("filter", filter)?;
    let compiled = Filter::compile(&expression);
    fields.check("filter", compiled).map(|_| expression)
}

fn from_rate_limit(fields: &mut Fields, limit: proto::RateLimit) -> Option<RateLimit> {
    let per_second = RateLimit::check_per_second(limit.per_second);
    let per_second = fields.check("rate_limit.per_second", per_second);
    let burst = fields.check("rate_limit.burst", RateLimit::check_burst(limit.burst));
    fields.check("rate_limit", RateLimit::new(per_second?, burst?))
}

fn from_payload_format(fields: &mut Fields, format: i32) -> Option<PayloadFormat> {
    match proto::PayloadFormat::try_from(format) {
        Ok(proto::PayloadFormat::Unspecified | proto::PayloadFormat::Envelope) => {
            Some(PayloadFormat::Envelope)
        }
        Ok(proto::PayloadFormat::Raw) => Some(PayloadFormat::Raw),
        Ok(proto::PayloadFormat::CloudeventsBinary) => Some(PayloadFormat::CloudEventsBinary),
        Ok(proto::PayloadFormat::CloudeventsStructured) => {
            Some(PayloadFormat::CloudEventsStructured)
        }
        Err(_) => {
            let wrong = "must be PAYLOAD_FORMAT_ENVELOPE, PAYLOAD_FORMAT_RAW, \
                         PAYLOAD_FORMAT_CLOUDEVENTS_BINARY or \
                         PAYLOAD_FORMAT_CLOUDEVENTS_STRUCTURED";
            fields.add("payload_format", wrong);
            None
        }
    }
}

fn from_schemes(fields: &mut Fields, schemes: &[i32]) -> Vec<SignatureScheme> {
    let schemes = fields.check_each("signature_schemes", schemes, |scheme| {
        match proto::SignatureScheme::try_from(*scheme) {
            Ok(proto::SignatureScheme::StandardWebhooks) => Ok(SignatureScheme::StandardWebhooks),
            Ok(proto::SignatureScheme::Sha256Body) => Ok(SignatureScheme::Sha256Body),
            Ok(proto::SignatureScheme::Ed25519) => Ok(SignatureScheme::Ed25519),
            Ok(proto::SignatureScheme::Unspecified) | Err(_) => Err(
                "must be SIGNATURE_SCHEME_STANDARD_WEBHOOKS, SIGNATURE_SCHEME_SHA256_BODY or \
                 SIGNATURE_SCHEME_ED25519",
            ),
        }
    });
    SubscriptionSpec::schemes_or_default(schemes)
}
