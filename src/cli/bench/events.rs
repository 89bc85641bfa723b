//! What is published: stamped events of one type, or of several in turn.

use std::time::Duration;

use bytes::Bytes;

use super::pace::nanos;
use crate::{
    cli::{clock, stamp::Stamp},
    proto::{Event, event},
};

/// Type of the events that every subscription of a plain run wants.
pub(super) const EVENT_TYPE: &str = "bench.event";

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Makes the events of a run.
pub(super) struct Events {
    /// Their types, taken in turn.
    types: Vec<String>,
    payload_size: usize,
    timers: Option<Timers>,
}

impl Events {
    /// Events of [`EVENT_TYPE`].
    pub(super) fn new(payload_size: usize) -> Self {
        Self::of_types(vec![EVENT_TYPE.to_owned()], payload_size)
    }

    /// Events of these types, of which there is at least one.
    pub(super) fn of_types(types: Vec<String>, payload_size: usize) -> Self {
        Self {
            types,
            payload_size,
            timers: None,
        }
    }

    /// The same events, each not delivered before its time.
    pub(super) fn timed(self, timers: Timers) -> Self {
        Self {
            timers: Some(timers),
            ..self
        }
    }

    /// The event of a sequence number. One that has a time carries that instead
    /// of the time at which it was sent.
    pub(super) fn event(&self, stamp: Stamp) -> Event {
        let timer = self.timers.map(|timers| timers.of(stamp.sequence));
        let stamp = timer.as_ref().map_or(stamp, |(due, _)| *due);
        let mut payload = Vec::with_capacity(self.payload_size.max(128));
        stamp.write_payload(self.payload_size, &mut payload);
        Event {
            r#type: self.types[index(stamp.sequence, self.types.len())].clone(),
            payload: Some(event::Payload::Data(Bytes::from(payload))),
            deliver_after: timer.map(|(_, time)| time),
            ..Event::default()
        }
    }
}

/// Times ahead, at even distances.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timers {
    first_nanos: u64,
    /// The same time in milliseconds since the Unix epoch.
    first_unix_millis: u64,
    count: u64,
    over: Duration,
}

impl Timers {
    /// So many times, the first one after `lead`, the others spread over `over`.
    pub(super) fn ahead(count: u64, lead: Duration, over: Duration) -> Self {
        // The monotonic clock is read first, so that what comes in between makes
        // an event late, never early.
        Self::from_clocks(
            clock::monotonic_nanos(),
            clock::unix_nanos(),
            count,
            lead,
            over,
        )
    }

    fn from_clocks(
        monotonic_nanos: u64,
        unix_nanos: u64,
        count: u64,
        lead: Duration,
        over: Duration,
    ) -> Self {
        let first_unix_millis = (unix_nanos + nanos(lead)).div_ceil(NANOS_PER_MILLI);
        let ahead = first_unix_millis * NANOS_PER_MILLI - unix_nanos;
        Self {
            first_nanos: monotonic_nanos + ahead,
            first_unix_millis,
            count,
            over,
        }
    }

    /// The stamp and the time of a sequence number, in whole milliseconds.
    fn of(self, sequence: u64) -> (Stamp, prost_types::Timestamp) {
        let share = u128::from(sequence) * self.over.as_millis() / u128::from(self.count.max(1));
        let millis = u64::try_from(share).expect("a share of a duration that fits");
        let unix_nanos = (self.first_unix_millis + millis) * NANOS_PER_MILLI;
        let stamp = Stamp {
            sequence,
            sent_nanos: self.first_nanos + millis * NANOS_PER_MILLI,
        };
        let time = prost_types::Timestamp {
            seconds: (unix_nanos / NANOS_PER_SECOND).cast_signed(),
            nanos: i32::try_from(unix_nanos % NANOS_PER_SECOND).expect("less than a second"),
        };
        (stamp, time)
    }
}

fn index(sequence: u64, len: usize) -> usize {
    usize::try_from(sequence % len as u64).expect("it is below a length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(sequence: u64) -> Stamp {
        Stamp {
            sequence,
            sent_nanos: 7,
        }
    }

    #[test]
    fn types_are_taken_in_turn() {
        let events = Events::of_types(vec!["a".into(), "b".into()], 0);
        let types = [0, 1, 2].map(|sequence| events.event(stamp(sequence)).r#type);
        assert_eq!(types, ["a", "b", "a"]);
    }

    #[test]
    fn a_timer_is_the_same_time_on_both_clocks_in_whole_milliseconds() {
        let lead = Duration::from_secs(2);
        let over = Duration::from_secs(10);
        let timers = Timers::from_clocks(500, 1_000_000_001, 4, lead, over);
        let (stamp, time) = timers.of(1);
        assert_eq!((time.seconds, time.nanos), (5, 501_000_000));
        assert_eq!(stamp.sent_nanos - 500, 5_501_000_000 - 1_000_000_001);
    }

    #[test]
    fn an_event_with_a_timer_carries_its_time_as_stamp() {
        let timers = Timers::from_clocks(0, 0, 2, Duration::ZERO, Duration::from_secs(4));
        let event = Events::new(0).timed(timers).event(stamp(1));
        let Some(event::Payload::Data(data)) = event.payload else {
            panic!("it has a payload");
        };
        let carried = Stamp::find(&data).expect("it is stamped");
        assert_eq!(carried.sent_nanos, 2_000_000_000);
        assert_eq!(event.deliver_after.expect("it has a time").seconds, 2);
    }
}
