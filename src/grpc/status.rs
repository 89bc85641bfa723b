//! The one table from errors to what a caller is told: gRPC code, reason and
//! details. The cause of an internal error is logged here and told to nobody.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    control::{Error, Resource},
    domain::{NotAllowed, NotAuthenticated, NotChangeable, Violation},
    proto::{FieldViolation, Refusal},
};

pub(super) const DOMAIN: &str = "postrider";
/// Most violations that are told.
const MAX_VIOLATIONS: usize = 20;
/// Most violations that the message names.
const MAX_IN_SENTENCE: usize = 5;
/// Most characters of a violation's field or description.
const MAX_TEXT: usize = 250;
const RETRY_SOON: Duration = Duration::from_secs(1);
const RETRY_WHEN_SPACE: Duration = Duration::from_secs(5);

/// What a caller is told.
struct Told {
    code: Code,
    reason: &'static str,
    message: String,
    violations: Vec<Violation>,
    retry_delay: Option<Duration>,
    resource: Option<Resource>,
    /// Who used up what.
    quota: Option<(String, String)>,
    metadata: HashMap<String, String>,
}

/// The error as the status of a call.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it ends here, and stands in map_err"
)]
pub(super) fn to_status(error: Error) -> Status {
    let told = tell(&error);
    let mut details = ErrorDetails::with_error_info(told.reason, DOMAIN, told.metadata);
    for violation in told.violations {
        details.add_bad_request_violation(violation.field, violation.description);
    }
    if told.retry_delay.is_some() {
        details.set_retry_info(told.retry_delay);
    }
    if let Some((subject, description)) = told.quota {
        details.add_quota_failure_violation(subject, description);
    }
    if let Some(resource) = told.resource {
        let (kind, id) = name(resource);
        details.set_resource_info(kind, id, "", "does not exist");
    }
    Status::with_error_details(told.code, told.message, details)
}

/// What a check of the health of an unknown service is told: the code is the
/// health protocol's own.
pub(super) fn unknown_service(name: &str) -> Status {
    let message = "service must be \"startup\", \"liveness\", \"readiness\" or empty";
    let mut details = ErrorDetails::with_error_info("UNKNOWN_SERVICE", DOMAIN, HashMap::new());
    details.set_resource_info("service", clip(name), "", message);
    Status::with_error_details(Code::NotFound, message, details)
}

/// The error as the refusal of one event of a stream.
pub(super) fn to_refusal(error: &Error) -> Refusal {
    let told = tell(error);
    let violations = told.violations.into_iter().map(|violation| FieldViolation {
        field: violation.field,
        description: violation.description,
    });
    Refusal {
        code: told.code.into(),
        reason: told.reason.to_owned(),
        message: told.message,
        field_violations: violations.collect(),
        retry_delay: told.retry_delay.map(super::convert::to_duration),
    }
}

fn tell(error: &Error) -> Told {
    let told = |code, reason| Told {
        code,
        reason,
        message: error.to_string(),
        violations: Vec::new(),
        retry_delay: None,
        resource: None,
        quota: None,
        metadata: HashMap::new(),
    };
    match error {
        Error::Invalid(violations) => Told {
            message: sentence(violations),
            violations: bounded(violations),
            ..told(Code::InvalidArgument, "VALIDATION_FAILED")
        },
        Error::PayloadTooLarge { field, size, max } => Told {
            violations: vec![Violation {
                field: field.clone(),
                description: format!("must be at most {max} bytes, is {size}"),
            }],
            ..told(Code::InvalidArgument, "PAYLOAD_TOO_LARGE")
        },
        Error::NotFound(resource) => {
            let (kind, id) = name(*resource);
            Told {
                message: format!("{kind} {id} does not exist"),
                resource: Some(*resource),
                ..told(Code::NotFound, "NOT_FOUND")
            }
        }
        Error::NotAuthenticated(why) => told(Code::Unauthenticated, unauthenticated(why)),
        Error::NotAllowed(why) => not_allowed(*why, told),
        Error::QuotaExceeded {
            tenant,
            quota,
            retry_after,
        } => Told {
            retry_delay: Some(*retry_after),
            quota: Some((format!("tenant:{tenant}"), quota.to_string())),
            ..told(Code::ResourceExhausted, "QUOTA_EXCEEDED")
        },
        Error::EtagMismatch => told(Code::Aborted, "ETAG_MISMATCH"),
        Error::RequestIdReused => told(Code::AlreadyExists, "REQUEST_ID_REUSED"),
        Error::KeyReused { index, first } => Told {
            metadata: HashMap::from([
                ("event_index".to_owned(), index.to_string()),
                ("first_event_id".to_owned(), first.to_string()),
            ]),
            ..told(Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED")
        },
        Error::SubscriptionDisabled => told(Code::FailedPrecondition, "SUBSCRIPTION_DISABLED"),
        Error::NotChangeable(NotChangeable::Settled) => {
            told(Code::FailedPrecondition, "DELIVERY_SETTLED")
        }
        Error::NotChangeable(NotChangeable::TooManyAttempts) => {
            told(Code::FailedPrecondition, "TOO_MANY_ATTEMPTS")
        }
        Error::NotChangeable(NotChangeable::PayloadErased) => {
            told(Code::FailedPrecondition, "PAYLOAD_ERASED")
        }
        Error::NotChangeable(NotChangeable::ReplayEnded) => {
            told(Code::FailedPrecondition, "REPLAY_ENDED")
        }
        Error::TooManyDeliveries { .. } => told(Code::FailedPrecondition, "TOO_MANY_DELIVERIES"),
        Error::Contended => Told {
            retry_delay: Some(RETRY_SOON),
            ..told(Code::Aborted, "CONTENDED")
        },
        Error::TestPending(_) => told(Code::DeadlineExceeded, "TEST_PENDING"),
        Error::DiskFull => Told {
            retry_delay: Some(RETRY_WHEN_SPACE),
            ..told(Code::ResourceExhausted, "DISK_FULL")
        },
        Error::Unavailable => Told {
            retry_delay: Some(RETRY_SOON),
            ..told(Code::Unavailable, "UNAVAILABLE")
        },
        Error::Overloaded => Told {
            retry_delay: Some(RETRY_SOON),
            ..told(Code::Unavailable, "OVERLOADED")
        },
        Error::DeadlineExceeded => told(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        Error::Damaged(cause) => {
            tracing::error!(error = &**cause as &dyn std::error::Error, "call failed");
            told(Code::DataLoss, "DATA_LOSS")
        }
        Error::Internal(cause) => {
            tracing::error!(error = &**cause as &dyn std::error::Error, "call failed");
            told(Code::Internal, "INTERNAL")
        }
    }
}

fn unauthenticated(why: &NotAuthenticated) -> &'static str {
    match why {
        NotAuthenticated::NoKey => "API_KEY_MISSING",
        NotAuthenticated::NoGrant(_) => "CERTIFICATE_UNKNOWN",
        NotAuthenticated::Malformed => "API_KEY_MALFORMED",
        NotAuthenticated::Unknown => "API_KEY_UNKNOWN",
        NotAuthenticated::Revoked => "API_KEY_REVOKED",
        NotAuthenticated::Expired => "API_KEY_EXPIRED",
    }
}

fn not_allowed(why: NotAllowed, told: impl Fn(Code, &'static str) -> Told) -> Told {
    match why {
        NotAllowed::Scope(scope) => Told {
            metadata: HashMap::from([("scope".to_owned(), scope.to_string())]),
            ..told(Code::PermissionDenied, "SCOPE_MISSING")
        },
        NotAllowed::Tenant => told(Code::PermissionDenied, "TENANT_NOT_ALLOWED"),
        NotAllowed::Operator => told(Code::PermissionDenied, "OPERATOR_ONLY"),
    }
}

fn name(resource: Resource) -> (&'static str, String) {
    match resource {
        Resource::Subscription(id) => ("subscription", id.to_string()),
        Resource::Event(id) => ("event", id.to_string()),
        Resource::Delivery(id) => ("delivery", id.to_string()),
        Resource::Replay(id) => ("replay", id.to_string()),
        Resource::ApiKey(id) => ("api_key", id.to_string()),
    }
}

/// What fits: details travel in trailers, of which most clients take no more
/// than 8 or 16 KiB.
fn bounded(violations: &[Violation]) -> Vec<Violation> {
    let told = violations.iter().take(MAX_VIOLATIONS);
    let told = told.map(|Violation { field, description }| Violation {
        field: clip(field),
        description: clip(description),
    });
    told.collect()
}

/// The first violations in one line, for whoever sees the message alone.
fn sentence(violations: &[Violation]) -> String {
    let first = violations.iter().take(MAX_IN_SENTENCE);
    let mut parts: Vec<_> = first
        .map(|Violation { field, description }| format!("{} {}", clip(field), clip(description)))
        .collect();
    if let more @ 1.. = violations.len().saturating_sub(MAX_IN_SENTENCE) {
        parts.push(format!("and {more} more"));
    }
    parts.join("; ")
}

/// The text, cut where it is long: some of it may be the caller's own.
fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventId, Quota, Scope, TenantId, Timestamp};

    #[test]
    fn every_error_has_its_code_reason_and_details() {
        let event = EventId::new(Timestamp::from_secs(1), 0);
        let errors = [
            Error::invalid("subscription.url", "must name a host"),
            Error::PayloadTooLarge {
                field: "event.data".to_owned(),
                size: 300,
                max: 256,
            },
            Error::NotFound(Resource::Event(event)),
            NotAuthenticated::NoKey.into(),
            NotAuthenticated::NoGrant("CN=client".to_owned()).into(),
            NotAuthenticated::Malformed.into(),
            NotAuthenticated::Unknown.into(),
            NotAuthenticated::Revoked.into(),
            NotAuthenticated::Expired.into(),
            NotAllowed::Scope(Scope::Manage).into(),
            NotAllowed::Tenant.into(),
            NotAllowed::Operator.into(),
            Error::QuotaExceeded {
                tenant: TenantId::default(),
                quota: Quota::Subscriptions(3),
                retry_after: Duration::from_mins(1),
            },
            Error::EtagMismatch,
            Error::RequestIdReused,
            Error::KeyReused {
                index: 3,
                first: event,
            },
            Error::SubscriptionDisabled,
            Error::NotChangeable(NotChangeable::Settled),
            Error::NotChangeable(NotChangeable::TooManyAttempts),
            Error::NotChangeable(NotChangeable::PayloadErased),
            Error::NotChangeable(NotChangeable::ReplayEnded),
            Error::Contended,
            Error::TestPending(event),
            Error::DiskFull,
            Error::Unavailable,
            Error::Overloaded,
            Error::DeadlineExceeded,
            Error::Damaged("the cause".into()),
            Error::Internal("the cause".into()),
        ];
        let lines = errors.map(|error| {
            let status = to_status(error);
            let details = status.get_error_details();
            let reason = &details.error_info().expect("there always is one").reason;
            let mut line = format!("{:?} {reason}: {}", status.code(), status.message());
            if details.bad_request().is_some() {
                line += " +BadRequest";
            }
            if details.retry_info().is_some() {
                line += " +RetryInfo";
            }
            if details.quota_failure().is_some() {
                line += " +QuotaFailure";
            }
            if details.resource_info().is_some() {
                line += " +ResourceInfo";
            }
            line
        });
        insta::assert_snapshot!(lines.join("\n"), @r#"
        InvalidArgument VALIDATION_FAILED: subscription.url must name a host +BadRequest
        InvalidArgument PAYLOAD_TOO_LARGE: event.data must be at most 256 bytes, is 300 +BadRequest
        NotFound NOT_FOUND: event evt_00000000z8e008000000000000 does not exist +ResourceInfo
        Unauthenticated API_KEY_MISSING: call needs an API key, in the metadata "authorization: Bearer pr_..."
        Unauthenticated CERTIFICATE_UNKNOWN: call needs an API key, as auth.certificates has no name of the client's certificate (CN=client)
        Unauthenticated API_KEY_MALFORMED: authorization must be "Bearer" and an API key; this is none, or was cut or mistyped
        Unauthenticated API_KEY_UNKNOWN: API key is not known
        Unauthenticated API_KEY_REVOKED: API key was revoked
        Unauthenticated API_KEY_EXPIRED: API key has expired
        PermissionDenied SCOPE_MISSING: call needs the scope manage, which the caller does not have
        PermissionDenied TENANT_NOT_ALLOWED: caller acts for one tenant, and postrider-tenant names another one
        PermissionDenied OPERATOR_ONLY: only who acts for all tenants may do this for all of them
        ResourceExhausted QUOTA_EXCEEDED: quota of tenant default is used up: there may be 3 subscriptions +RetryInfo +QuotaFailure
        Aborted ETAG_MISMATCH: subscription has another etag: read it again and decide anew
        AlreadyExists REQUEST_ID_REUSED: request_id was used before to create another subscription
        AlreadyExists IDEMPOTENCY_KEY_REUSED: idempotency key was used by evt_00000000z8e008000000000000 with another type or payload
        FailedPrecondition SUBSCRIPTION_DISABLED: subscription is disabled: enable it first
        FailedPrecondition DELIVERY_SETTLED: delivery is already settled
        FailedPrecondition TOO_MANY_ATTEMPTS: delivery has 200 attempts, the most there can be; publish the event anew
        FailedPrecondition PAYLOAD_ERASED: payload of the event was erased; publish the event anew
        FailedPrecondition REPLAY_ENDED: replay has already ended
        Aborted CONTENDED: too many changes at once: try again +RetryInfo
        DeadlineExceeded TEST_PENDING: result of the test did not come in time: see the attempts of evt_00000000z8e008000000000000
        ResourceExhausted DISK_FULL: disk is full +RetryInfo
        Unavailable UNAVAILABLE: server is not available +RetryInfo
        Unavailable OVERLOADED: server has too much under way: try again +RetryInfo
        DeadlineExceeded DEADLINE_EXCEEDED: deadline passed; if this was a write it may have happened: try again with the same idempotency key or request_id
        DataLoss DATA_LOSS: what is stored is damaged, so it is not shown; the server's log says what, and `postrider storage check` finds all of it
        Internal INTERNAL: internal error
        "#);
    }
}
