//! What an error of the HTTP client means, by the types in its chain of causes.

use std::{error::Error, io};

use super::Failure;
use crate::domain::ErrorKind;

/// Bounds of an answer, for people.
pub(super) const HEADERS: &str = "32 KiB or 100 lines of headers";
pub(super) const BODY: &str = "64 KiB of body";

/// Classifies an error of a request to an `https` or an `http` URL.
pub(super) fn of(error: &reqwest::Error, https: bool) -> Failure {
    let kind = kind(error, https);
    let cause = causes(error).last().map(ToString::to_string);
    let cause = cause.unwrap_or_default();
    let message = match kind {
        ErrorKind::Dns => format!("could not resolve the host name: {cause}"),
        ErrorKind::Connect => format!("could not connect: {cause}"),
        ErrorKind::Tls => format!("TLS failed: {cause}"),
        ErrorKind::Protocol => format!("the answer is not valid HTTP: {cause}"),
        ErrorKind::ResponseTooLarge => return too_large(HEADERS),
        ErrorKind::Request => format!("could not build the request: {cause}"),
        _ => format!("the connection broke before the answer was complete: {cause}"),
    };
    Failure { kind, message }
}

/// The failure of an answer beyond the bounds, by what it has too much of.
pub(super) fn too_large(what: &str) -> Failure {
    Failure {
        kind: ErrorKind::ResponseTooLarge,
        message: format!("the answer is too large: it has more than {what}"),
    }
}

fn kind(error: &reqwest::Error, https: bool) -> ErrorKind {
    if error.is_builder() {
        return ErrorKind::Request;
    }
    if error.is_dns() {
        return ErrorKind::Dns;
    }
    // They wrap one another; the innermost is what happened.
    let io = causes(error).filter_map(<dyn Error>::downcast_ref::<io::Error>);
    let io = io.last().map(io::Error::kind);
    if error.is_connect() {
        return match io {
            // Opening a socket fails with none of these; the handshake does.
            Some(
                io::ErrorKind::InvalidData
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe,
            ) if https => ErrorKind::Tls,
            _ => ErrorKind::Connect,
        };
    }
    let hyper = causes(error).find_map(<dyn Error>::downcast_ref::<hyper::Error>);
    match (hyper, io) {
        (Some(hyper), _) if hyper.is_parse_too_large() => ErrorKind::ResponseTooLarge,
        (Some(hyper), _) if hyper.is_parse() => ErrorKind::Protocol,
        // Alerts of TLS 1.3 come after the handshake.
        (_, Some(io::ErrorKind::InvalidData)) if https => ErrorKind::Tls,
        // Broken chunks of a body.
        (_, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)) => ErrorKind::Protocol,
        _ => ErrorKind::Reset,
    }
}

/// The causes of an error, outermost first. What an `io::Error` wraps is not
/// its source but stands in for it, so it is looked into.
fn causes<'e>(error: &'e reqwest::Error) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| {
        let wrapped = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => cause.source(),
        }
    })
}
