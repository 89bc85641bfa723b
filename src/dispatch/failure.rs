//! What goes wrong on the way to an answer, by what it means.

use std::{error::Error, io};

use super::Failure;
use crate::{
    domain::{ErrorKind, Refused},
    resolve,
};

/// Bounds of an answer, for people.
pub(super) const HEADERS: &str = "32 KiB or 100 lines of headers";
pub(super) const BODY: &str = "64 KiB of body";

/// Classifies an error of a connection that carries a request.
pub(super) fn of(error: &hyper::Error) -> Failure {
    let kind = kind(error);
    let cause = causes(error).last().map(ToString::to_string);
    let cause = cause.unwrap_or_default();
    match kind {
        ErrorKind::ResponseTooLarge => too_large(HEADERS),
        kind => failed(kind, &cause),
    }
}

/// The failure of opening a connection, or of shaking hands.
pub(super) fn io(kind: ErrorKind, error: &io::Error) -> Failure {
    failed(kind, &error.to_string())
}

/// The failure of a name that leads nowhere.
pub(super) fn dns(error: &resolve::Error) -> Failure {
    Failure {
        kind: ErrorKind::Dns,
        message: error.to_string(),
    }
}

/// The failure of a URL that may not be called.
pub(super) fn refused(refused: &Refused) -> Failure {
    Failure {
        kind: ErrorKind::Refused,
        message: format!("deliveries may not go there: {refused}"),
    }
}

/// The failure of an answer beyond the bounds, by what it has too much of.
pub(super) fn too_large(what: &str) -> Failure {
    Failure {
        kind: ErrorKind::ResponseTooLarge,
        message: format!("the answer is too large: it has more than {what}"),
    }
}

/// The failure of an answer that is shorter than it said.
pub(super) fn incomplete() -> Failure {
    failed(ErrorKind::Reset, "it is shorter than its content-length")
}

fn failed(kind: ErrorKind, cause: &str) -> Failure {
    let what = match kind {
        ErrorKind::Connect => "could not connect",
        ErrorKind::Tls => "TLS failed",
        ErrorKind::Protocol => "the answer is not valid HTTP",
        _ => "the connection broke before the answer was complete",
    };
    Failure {
        kind,
        message: format!("{what}: {cause}"),
    }
}

fn kind(error: &hyper::Error) -> ErrorKind {
    if error.is_parse_too_large() {
        return ErrorKind::ResponseTooLarge;
    }
    if error.is_parse() {
        return ErrorKind::Protocol;
    }
    // Alerts of TLS 1.3 come after the handshake.
    if causes(error).any(<dyn Error>::is::<rustls::Error>) {
        return ErrorKind::Tls;
    }
    if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<h2::Error>()) {
        return kind_of_http2(error);
    }
    // They wrap one another; the innermost is what happened.
    let io = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    match io.last().map(io::Error::kind) {
        // Broken chunks of a body.
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => ErrorKind::Protocol,
        _ => ErrorKind::Reset,
    }
}

/// What this side finds wrong is no HTTP; what the other side says is a reset.
fn kind_of_http2(error: &h2::Error) -> ErrorKind {
    if error.is_library() && !error.is_io() {
        ErrorKind::Protocol
    } else {
        ErrorKind::Reset
    }
}

/// The error and its causes, outermost first. What an `io::Error` wraps is not
/// its source but stands in for it, so it is looked into.
fn causes<'e>(error: &'e hyper::Error) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let first: &'e (dyn Error + 'static) = error;
    std::iter::successors(Some(first), |&cause| {
        let wrapped = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => cause.source(),
        }
    })
}
