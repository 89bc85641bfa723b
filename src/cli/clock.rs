//! The machine's clocks as the measuring commands need them: comparable between
//! processes, which `std::time::Instant` does not promise.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds of the monotonic clock, the same for every process.
pub(super) fn monotonic_nanos() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds since the Unix epoch.
pub(super) fn unix_nanos() -> u64 {
    nanos(clock_gettime(ClockId::Realtime))
}

/// Seconds since the Unix epoch.
pub(super) fn unix_seconds() -> u64 {
    unix_nanos() / 1_000_000_000
}

fn nanos(time: Timespec) -> u64 {
    let parts = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    match parts {
        (Ok(seconds), Ok(nanos)) => seconds * 1_000_000_000 + nanos,
        _ => 0,
    }
}
