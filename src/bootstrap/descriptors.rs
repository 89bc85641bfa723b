//! Open files: an attempt under way holds one, and so does a caller. Some are
//! left to the store, whatever the others do: one that finds no file has failed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the store, health checks and the rest need.
const RESERVE: u64 = 1_024;
/// What they have at least of few: one of so many.
const PART: u64 = 4;

/// Who may have how many files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Files {
    /// Connections of callers.
    pub(super) callers: usize,
    /// Connections to receivers are opened below this number: the system gives
    /// the lowest that is free.
    pub(super) receivers: u64,
}

impl Files {
    /// Raises the limit of open files as far as it goes, and warns where that is
    /// too little for so many attempts and callers.
    pub(super) fn raise(attempts: usize, callers: usize) -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        let limit = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => maximum,
            Err(_) => current,
        };
        let limit = limit.unwrap_or(u64::MAX);
        let files = Self::of(limit, callers);
        let wanted = attempts.saturating_add(callers);
        let needed =
            u64::try_from(wanted).map_or(u64::MAX, |wanted| wanted.saturating_add(RESERVE));
        if limit < needed {
            tracing::warn!(
                limit,
                needed,
                callers = files.callers,
                "few files may be open at once: raise the limit, or lower \
                 server.max_connections and delivery.max_in_flight"
            );
        }
        files
    }

    fn of(limit: u64, callers: usize) -> Self {
        let shared = limit - RESERVE.min(limit / PART);
        let half = usize::try_from(shared / 2).unwrap_or(usize::MAX);
        Self {
            callers: callers.min(half),
            receivers: shared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_and_receivers_leave_some_to_the_store() {
        let files = |callers, receivers| Files { callers, receivers };
        assert_eq!(Files::of(200, 4_096), files(75, 150));
        assert_eq!(Files::of(1_024, 4_096), files(384, 768));
        assert_eq!(Files::of(1 << 20, 4_096), files(4_096, (1 << 20) - 1_024));
        assert_eq!(Files::of(u64::MAX, 10), files(10, u64::MAX - 1_024));
    }
}
