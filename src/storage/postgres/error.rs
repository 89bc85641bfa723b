//! What the database's errors are to the caller: the one table of SQLSTATEs.

use tokio_postgres::error::SqlState;

use crate::storage::{Error, bytes::Malformed, error::describe, row::Unreadable};

/// What a failure is to the caller.
pub(super) fn from_pg(error: tokio_postgres::Error) -> Error {
    let Some(state) = error.code() else {
        // Without a code it is the connection that failed.
        return Error::Unavailable(Box::new(error));
    };
    match state.code() {
        "53100" => Error::Full,
        "XX001" | "XX002" => Error::Corrupt(error.to_string()),
        // Connection; too many of them, or shut down; time limits and locks;
        // conflicts; a standby.
        code if code.starts_with("08") => Error::Unavailable(Box::new(error)),
        "53300" | "57P01" | "57P02" | "57P03" | "57014" | "25P03" | "55P03" | "40001" | "40P01"
        | "25006" => Error::Unavailable(Box::new(error)),
        _ => Error::Engine(Box::new(error)),
    }
}

/// Whether a partition is gone, or not there yet.
pub(super) fn is_no_table(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNDEFINED_TABLE)
}

/// Whether a lock was waited for in vain.
pub(super) fn is_locked(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// A row that makes no sense.
pub(super) fn malformed(what: &'static str) -> impl Fn(Malformed) -> Error {
    move |_| Error::Corrupt(format!("{what} row"))
}

/// What a row of a subscription, or of the request that made one, cannot be read
/// for.
pub(super) fn unreadable(what: &'static str) -> impl Fn(Unreadable) -> Error {
    move |why| why.into_error(|| malformed(what)(Malformed))
}

/// The same error once more, for another of the calls that failed together.
pub(super) fn again(error: &Error) -> Error {
    match error {
        Error::NotFound(resource) => Error::NotFound(*resource),
        Error::VersionMismatch => Error::VersionMismatch,
        Error::StaleSubscriptions => Error::StaleSubscriptions,
        Error::KeyReused { index, first } => Error::KeyReused {
            index: *index,
            first: *first,
        },
        Error::NotChangeable(why) => Error::NotChangeable(*why),
        Error::Full => Error::Full,
        Error::LeaseLost => Error::LeaseLost,
        Error::Unavailable(why) => Error::Unavailable(why.to_string().into()),
        Error::Closed(why) => Error::Closed(why.clone()),
        Error::Corrupt(what) => Error::Corrupt(what.clone()),
        Error::Sealed(key) => Error::Sealed(*key),
        Error::Engine(why) => Error::Engine(describe(&**why).into()),
    }
}
