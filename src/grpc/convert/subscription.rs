//! Subscriptions.

use std::{sync::Arc, time::Duration};

use super::{
    Fields, from_duration,
    retry_policy::to_retry_policy,
    spec::{MUTABLE, from_spec},
    to_duration, to_timestamp,
};
use crate::{
    control::{
        CreateSubscription, Error, List, Listed, Renewal, Rotated, Unanswered, UpdateSubscription,
    },
    domain::{
        EventType, LiveSecrets, PayloadFormat, RateLimit, SignatureScheme, State, StateCode,
        StateReason, Subscription, SubscriptionId, SubscriptionSpec, Version,
    },
    proto::{
        self, CreateSubscriptionRequest, DeleteSubscriptionRequest, DisableSubscriptionRequest,
        ListSubscriptionsRequest, ListSubscriptionsResponse, RotateSubscriptionSecretRequest,
        RotateSubscriptionSecretResponse, SubscriptionState, TestFilterResponse,
        TestSubscriptionRequest, UpdateSubscriptionRequest,
    },
};

const MAX_REQUEST_ID: usize = 128;
const DEFAULT_TEST_TYPE: &str = "postrider.test";

/// Checks a `CreateSubscription` request.
pub(in crate::grpc) fn from_create(
    request: CreateSubscriptionRequest,
) -> Result<CreateSubscription, Error> {
    let Some(subscription) = request.subscription else {
        return Err(Error::invalid("subscription", "is required"));
    };
    let mut fields = Fields::default();
    if request.request_id.len() > MAX_REQUEST_ID {
        let wrong = format_args!("must be at most {MAX_REQUEST_ID} bytes");
        fields.add("request_id", wrong);
    }
    fields.go_to("subscription.");
    let secret = fields.parse_optional("secret", &subscription.secret);
    let signing_key = fields.parse_optional("signing_key", &subscription.signing_key);
    let patch = from_spec(&mut fields, subscription, |_| true);
    fields.finish(|| {
        let spec = SubscriptionSpec::new(patch.url.clone()?, patch.events.clone()?);
        Some(CreateSubscription {
            spec: patch.apply(spec),
            secret,
            signing_key,
            request_id: (!request.request_id.is_empty()).then_some(request.request_id),
            validate_only: request.validate_only,
        })
    })
}

/// Checks a `ListSubscriptions` request.
pub(in crate::grpc) fn from_list(request: ListSubscriptionsRequest) -> Result<List, Error> {
    let mut fields = Fields::default();
    let page_size = List::check_size(request.page_size, fields.violations());
    fields.finish(|| {
        Some(List {
            page_size,
            page_token: request.page_token,
        })
    })
}

/// Checks an `UpdateSubscription` request.
pub(in crate::grpc) fn from_update(
    request: UpdateSubscriptionRequest,
) -> Result<UpdateSubscription, Error> {
    let Some(subscription) = request.subscription else {
        return Err(Error::invalid("subscription", "is required"));
    };
    let paths = request.update_mask.unwrap_or_default().paths;
    let mut fields = Fields::default();
    check_mask(&mut fields, &paths);
    fields.go_to("subscription.");
    for (field, given) in [
        ("secret", &subscription.secret),
        ("signing_key", &subscription.signing_key),
    ] {
        if !given.is_empty() {
            fields.add(field, "must be empty: call RotateSubscriptionSecret");
        }
    }
    let id = fields.parse("id", &subscription.id);
    let expected = from_etag(&mut fields, &subscription.etag);
    let patch = from_spec(&mut fields, subscription, |name| {
        paths.iter().any(|path| path == name || path == "*")
    });
    fields.finish(|| {
        Some(UpdateSubscription {
            id: id?,
            expected,
            patch,
            validate_only: request.validate_only,
        })
    })
}

fn check_mask(fields: &mut Fields, paths: &[String]) {
    let known = MUTABLE.join(", ");
    if paths.is_empty() {
        let wrong = format_args!("is required: some of {known}, or *");
        fields.add("update_mask", wrong);
    }
    for path in paths {
        let wrong = match path.as_str() {
            "*" => continue,
            known if MUTABLE.contains(&known) => continue,
            "secret" | "signing_key" => {
                format!("must not name {path}: call RotateSubscriptionSecret")
            }
            "state" => {
                "must not name state: call EnableSubscription or DisableSubscription".to_owned()
            }
            _ => format!("must name some of {known}, or *, not {path:?}"),
        };
        fields.add("update_mask", wrong);
    }
}

/// Checks a `DeleteSubscription` request.
pub(in crate::grpc) fn from_delete(
    request: &DeleteSubscriptionRequest,
) -> Result<(SubscriptionId, Option<Version>), Error> {
    let mut fields = Fields::default();
    let id = fields.parse("id", &request.id);
    let expected = from_etag(&mut fields, &request.etag);
    fields.finish(|| Some((id?, expected)))
}

/// Checks a `DisableSubscription` request.
pub(in crate::grpc) fn from_disable(
    request: DisableSubscriptionRequest,
) -> Result<(SubscriptionId, String), Error> {
    let mut fields = Fields::default();
    let id = fields.parse("id", &request.id);
    let message = fields.check("message", StateReason::check_message(request.message));
    fields.finish(|| Some((id?, message?)))
}

/// Checks a `RotateSubscriptionSecret` request.
pub(in crate::grpc) fn from_rotate(
    request: &RotateSubscriptionSecretRequest,
) -> Result<(SubscriptionId, Renewal, Duration), Error> {
    let mut fields = Fields::default();
    let id = fields.parse("id", &request.id);
    let renewal = from_renewal(&mut fields, request);
    let overlap = match request.overlap {
        None => Some(LiveSecrets::DEFAULT_OVERLAP),
        Some(overlap) => fields.check("overlap", from_duration(overlap)),
    };
    if overlap.is_some_and(|overlap| overlap > LiveSecrets::MAX_OVERLAP) {
        fields.add("overlap", "must be 0 to 7 days");
    }
    fields.finish(|| Some((id?, renewal?, overlap?)))
}

fn from_renewal(fields: &mut Fields, request: &RotateSubscriptionSecretRequest) -> Option<Renewal> {
    let secret = &request.secret;
    match proto::SignatureScheme::try_from(request.scheme) {
        Ok(proto::SignatureScheme::Ed25519) => {
            Some(Renewal::SigningKey(fields.parse_optional("secret", secret)))
        }
        Ok(
            proto::SignatureScheme::Unspecified
            | proto::SignatureScheme::StandardWebhooks
            | proto::SignatureScheme::Sha256Body,
        ) => Some(Renewal::Secret(fields.parse_optional("secret", secret))),
        Err(_) => {
            fields.add("scheme", "must be a signature scheme");
            None
        }
    }
}

/// Checks a `TestSubscription` request.
pub(in crate::grpc) fn from_test(
    request: &TestSubscriptionRequest,
) -> Result<(SubscriptionId, EventType), Error> {
    let mut fields = Fields::default();
    let id = fields.parse("id", &request.id);
    let event_type = match request.event_type.as_str() {
        "" => DEFAULT_TEST_TYPE,
        event_type => event_type,
    };
    let event_type = fields.parse("event_type", event_type);
    fields.finish(|| Some((id?, event_type?)))
}

fn to_etag(version: Version) -> String {
    format!("v{}", version.0)
}

fn from_etag(fields: &mut Fields, etag: &str) -> Option<Version> {
    if etag.is_empty() {
        return None;
    }
    let version = etag
        .strip_prefix('v')
        .and_then(|digits| digits.parse().ok());
    if version.is_none() {
        fields.add("etag", "must be the etag of an earlier reply");
    }
    version.map(Version)
}

/// The subscription as a message, its secret left out.
pub(in crate::grpc) fn to_subscription(subscription: &Subscription) -> proto::Subscription {
    let spec = &subscription.spec;
    proto::Subscription {
        id: subscription.id.to_string(),
        tenant: subscription.tenant.to_string(),
        url: spec.url.to_string(),
        events: spec
            .events
            .as_slice()
            .iter()
            .map(ToString::to_string)
            .collect(),
        secret: String::new(),
        description: spec.description.clone(),
        headers: spec.headers.as_map().clone().into_iter().collect(),
        labels: spec.labels.as_map().clone().into_iter().collect(),
        state: to_state(subscription.state).into(),
        state_reason: Some(to_state_reason(&subscription.state_reason)),
        retry_policy: Some(to_retry_policy(&spec.retry_policy)),
        timeout: Some(to_duration(spec.timeout.as_duration())),
        max_in_flight: spec.max_in_flight.get(),
        rate_limit: spec.rate_limit.map(to_rate_limit),
        ordered: spec.ordered,
        payload_format: to_payload_format(spec.payload_format).into(),
        signature_schemes: spec
            .signature_schemes
            .iter()
            .map(|scheme| to_scheme(*scheme).into())
            .collect(),
        signing_key: String::new(),
        public_key: subscription
            .signing_keys
            .as_ref()
            .map(|keys| keys.newest().public())
            .unwrap_or_default(),
        filter: spec
            .filter
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        etag: to_etag(subscription.version),
        create_time: Some(to_timestamp(subscription.create_time)),
        update_time: Some(to_timestamp(subscription.update_time)),
    }
}

/// The subscription that was created, its secret shown; or what would have been,
/// which has none yet, nor an id.
pub(in crate::grpc) fn to_created(
    subscription: &Subscription,
    validate_only: bool,
) -> proto::Subscription {
    if validate_only {
        return proto::Subscription {
            id: String::new(),
            public_key: String::new(),
            etag: String::new(),
            ..to_subscription(subscription)
        };
    }
    to_secret_showing(subscription)
}

/// The subscription as a message that shows its newest secret.
fn to_secret_showing(subscription: &Subscription) -> proto::Subscription {
    proto::Subscription {
        secret: subscription.secrets.newest().expose().to_owned(),
        ..to_subscription(subscription)
    }
}

/// The answer to a rotation.
pub(in crate::grpc) fn to_rotated(rotated: &Rotated) -> RotateSubscriptionSecretResponse {
    let subscription = &rotated.subscription;
    RotateSubscriptionSecretResponse {
        subscription: Some(if rotated.secret_renewed {
            to_secret_showing(subscription)
        } else {
            to_subscription(subscription)
        }),
        live_secrets: i32::try_from(rotated.live_secrets).unwrap_or(i32::MAX),
    }
}

/// A page of subscriptions.
pub(in crate::grpc) fn to_listed(listed: &Listed<Arc<Subscription>>) -> ListSubscriptionsResponse {
    let shown = listed
        .items
        .iter()
        .map(|subscription| to_subscription(subscription));
    ListSubscriptionsResponse {
        subscriptions: shown.collect(),
        next_page_token: listed.next_page_token.clone(),
    }
}

/// What a filter said of a sample event.
pub(in crate::grpc) fn to_filter_tested(answer: Result<bool, Unanswered>) -> TestFilterResponse {
    match answer {
        Ok(matched) => TestFilterResponse {
            matched,
            error: String::new(),
        },
        Err(error) => TestFilterResponse {
            matched: false,
            error: error.to_string(),
        },
    }
}

fn to_state(state: State) -> SubscriptionState {
    match state {
        State::Active => SubscriptionState::Active,
        State::Disabled => SubscriptionState::Disabled,
    }
}

fn to_state_reason(reason: &StateReason) -> proto::StateReason {
    let code = match reason.code {
        StateCode::Created => "CREATED",
        StateCode::Requested => "REQUESTED",
        StateCode::Gone => "GONE",
        StateCode::Failing => "FAILING",
    };
    proto::StateReason {
        code: code.to_owned(),
        message: reason.message.clone(),
        since_time: Some(to_timestamp(reason.since)),
    }
}

fn to_rate_limit(limit: RateLimit) -> proto::RateLimit {
    proto::RateLimit {
        per_second: limit.per_second(),
        burst: limit.burst().get(),
    }
}

fn to_payload_format(format: PayloadFormat) -> proto::PayloadFormat {
    match format {
        PayloadFormat::Envelope => proto::PayloadFormat::Envelope,
        PayloadFormat::Raw => proto::PayloadFormat::Raw,
        PayloadFormat::CloudEventsBinary => proto::PayloadFormat::CloudeventsBinary,
        PayloadFormat::CloudEventsStructured => proto::PayloadFormat::CloudeventsStructured,
    }
}

fn to_scheme(scheme: SignatureScheme) -> proto::SignatureScheme {
    match scheme {
        SignatureScheme::StandardWebhooks => proto::SignatureScheme::StandardWebhooks,
        SignatureScheme::Ed25519 => proto::SignatureScheme::Ed25519,
        SignatureScheme::Sha256Body => proto::SignatureScheme::Sha256Body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_type_can_be_tested() {
        let tested = from_test(&TestSubscriptionRequest {
            id: "sub_00000000000000000000000000".to_owned(),
            event_type: "postrider.delivery.failed".to_owned(),
        });
        assert!(tested.is_ok());
    }
}
