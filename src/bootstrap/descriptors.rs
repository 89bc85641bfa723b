//! Open files: an attempt under way holds one, and so does a caller.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What calls, the store and idle connections need beside the attempts.
const OTHERS: u64 = 1_024;

/// Raises the limit of open files as far as it goes, and warns where that is
/// too little for so many attempts.
pub(super) fn raise(attempts: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    let needed = u64::try_from(attempts)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHERS);
    if limit.is_some_and(|limit| limit < needed) {
        tracing::warn!(
            limit,
            needed,
            "few files may be open at once: raise the limit or lower delivery.max_in_flight"
        );
    }
}
