//! What the codec and the router refuse before a call reaches its handler, told
//! like everything else: with a reason, and with the field where it is known.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::status::DOMAIN;

const UNDECODABLE: &str = "failed to decode Protobuf message: ";

/// Gives a response that refuses a call the details its status lacks.
pub(super) fn explained<B>(mut response: http::Response<B>) -> http::Response<B> {
    let status = Status::from_header_map(response.headers());
    if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
        // Text that fits no header came from none.
        let _ = explain(status).add_header(response.headers_mut());
    }
    response
}

/// Gives a status the details it lacks. Statuses of this program have some;
/// those of the codec have none, and blame the server for what callers sent.
pub(super) fn explain(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let (code, reason) = match status.code() {
        Code::Internal => (Code::InvalidArgument, "MALFORMED_REQUEST"),
        Code::OutOfRange => (Code::InvalidArgument, "PAYLOAD_TOO_LARGE"),
        Code::Unimplemented => (Code::Unimplemented, "UNKNOWN_METHOD"),
        _ => return status,
    };
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    if let Some(error) = status.message().strip_prefix(UNDECODABLE) {
        let (field, description) = located(error);
        let message = format!("{field} {description}");
        details.add_bad_request_violation(field, description);
        return Status::with_error_details(code, message.trim_start(), details);
    }
    let message = match status.message() {
        "" => "there is no such method; reflection lists those there are",
        message => message.trim_start_matches("Error, "),
    };
    Status::with_error_details(code, message, details)
}

/// Splits an error of prost, `Inner.field: Outer.field: what is wrong`, into
/// the field's path and a description.
fn located(error: &str) -> (String, String) {
    let mut path = Vec::new();
    let mut rest = error;
    while let Some((step, after)) = rest.split_once(": ")
        && let Some((message, field)) = step.split_once('.')
        && message.starts_with(|first: char| first.is_ascii_uppercase())
    {
        path.insert(0, field.trim_start_matches("r#"));
        rest = after;
    }
    let description = format!("must be encoded as the protos say: {rest}");
    (path.join("."), description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_decoded_is_the_callers_fault_and_names_the_field() {
        let status = Status::internal(format!(
            "{UNDECODABLE}Event.r#type: PublishEventRequest.event: data is not UTF-8 encoded"
        ));
        let status = explain(status);
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(details.error_info().unwrap().reason, "MALFORMED_REQUEST");
        assert_eq!(violations[0].field, "event.type");
        assert!(
            violations[0]
                .description
                .ends_with("data is not UTF-8 encoded")
        );
    }

    #[test]
    fn what_has_details_is_left_as_it_is() {
        let details = ErrorDetails::with_error_info("INTERNAL", DOMAIN, HashMap::new());
        let own = Status::with_error_details(Code::Internal, "internal error", details);
        assert_eq!(explain(own).code(), Code::Internal);
    }
}
