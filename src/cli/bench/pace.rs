//! When the next event is published: as fast as answers come, at a rate, or
//! only so many ahead of their arrival; and when there is none any more.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};

use crate::cli::{clock, stamp::Stamp};

/// A time that nobody waits for.
const LONGEST: Duration = Duration::from_hours(24);

/// Shared by everybody who publishes.
pub(super) struct Pace {
    end: Instant,
    start_nanos: u64,
    end_nanos: u64,
    next: AtomicU64,
    /// How many events there are at most.
    count: u64,
    /// Pause between events of an open loop.
    interval_nanos: Option<u64>,
    /// Events that may still be sent before one arrives.
    in_flight: Option<Semaphore>,
}

impl Pace {
    /// Starts now. `rate` is in events per second; `in_flight` bounds how many
    /// events are published and have not arrived.
    pub(super) fn start(duration: Duration, rate: Option<f64>, in_flight: Option<usize>) -> Self {
        let start_nanos = clock::monotonic_nanos();
        Self {
            end: Instant::now() + duration,
            start_nanos,
            end_nanos: start_nanos + nanos(duration),
            next: AtomicU64::new(0),
            count: u64::MAX,
            interval_nanos: rate.map(|rate| nanos(Duration::from_secs_f64(1.0 / rate))),
            in_flight: in_flight.map(Semaphore::new),
        }
    }

    /// Starts now, and ends after so many events, sent as fast as answers come.
    pub(super) fn counted(count: u64) -> Self {
        Self {
            count,
            ..Self::start(LONGEST, None, None)
        }
    }

    /// Monotonic time of the start.
    pub(super) fn start_nanos(&self) -> u64 {
        self.start_nanos
    }

    /// Waits until an event may be published; none when the time is over.
    ///
    /// In an open loop an event that is sent late carries the time at which it
    /// should have been sent, so that a server that stalls cannot hide it.
    pub(super) async fn turn(&self) -> Option<Stamp> {
        if let Some(permits) = &self.in_flight {
            let permit = timeout_at(self.end, permits.acquire()).await.ok()?;
            permit.expect("it is never closed").forget();
        }
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        let now = clock::monotonic_nanos();
        let slot = self
            .interval_nanos
            .map_or(now, |interval| self.start_nanos + sequence * interval);
        if slot >= self.end_nanos || sequence >= self.count {
            return None;
        }
        if slot <= now {
            return Some(Stamp {
                sequence,
                sent_nanos: slot,
            });
        }
        sleep(Duration::from_nanos(slot - now)).await;
        Some(Stamp {
            sequence,
            sent_nanos: clock::monotonic_nanos(),
        })
    }

    /// Lets so many more events be sent, because others arrived or were refused.
    pub(super) fn arrived(&self, events: u64) {
        if let Some(permits) = &self.in_flight {
            permits.add_permits(usize::try_from(events).expect("counts fit in memory"));
        }
    }
}

/// A duration in nanoseconds.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_late_event_carries_the_time_it_was_due() {
        let pace = Pace::start(Duration::from_mins(1), Some(1e9), None);
        let first = pace.turn().await.unwrap();
        let second = pace.turn().await.unwrap();
        assert_eq!((first.sequence, second.sequence), (0, 1));
        assert_eq!(first.sent_nanos, pace.start_nanos());
        assert_eq!(second.sent_nanos, pace.start_nanos() + 1);
    }

    #[tokio::test]
    async fn no_event_is_sent_while_enough_are_in_flight() {
        let pace = Pace::start(Duration::from_millis(50), None, Some(1));
        assert!(pace.turn().await.is_some());
        pace.arrived(1);
        assert!(pace.turn().await.is_some());
        assert_eq!(pace.turn().await, None);
    }

    #[tokio::test]
    async fn a_counted_pace_ends_after_its_events() {
        let pace = Pace::counted(2);
        assert!(pace.turn().await.is_some());
        assert!(pace.turn().await.is_some());
        assert_eq!(pace.turn().await, None);
    }
}
