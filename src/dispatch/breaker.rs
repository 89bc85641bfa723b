//! How much a subscription is trusted with: after too many failures one probe
//! at a time, after the first success more and more. Pure data, known to the
//! process that owns the queue; another one finds out anew after a few attempts.

use std::time::Duration;

use crate::domain::{DeliveryId, Timestamp};

/// Failures in a row that open it, if they last so long or are the first results.
const ROW: u32 = 5;
const LASTING: Duration = Duration::from_secs(1);
/// Attempts of the last minutes from which their share of failures counts.
const ENOUGH: u32 = 20;
/// Pauses between probes.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What a result did to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Failures opened it.
    Opened,
    /// A success closed it.
    Closed,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// One more attempt is allowed, then two, four and so on every second.
    Closed { since: Timestamp },
    Open {
        /// When the next probe may start.
        probe: Timestamp,
        /// How long it was waited for.
        pause: Duration,
    },
}

#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Nothing went well yet, and what went before is not known.
    untried: bool,
    row: u32,
    /// When the first of the row failed.
    failing_since: Option<Timestamp>,
    /// The last delivery that failed. One that fails again and again says
    /// little about the others, so it counts once in a row.
    last: Option<DeliveryId>,
    minutes: Minutes,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self {
            state: State::Closed {
                since: Timestamp::MIN,
            },
            untried: false,
            row: 0,
            failing_since: None,
            last: None,
            minutes: Minutes::default(),
        }
    }

    /// Of a queue that was there before: its endpoint may have been dead for long.
    pub(super) fn untried(now: Timestamp) -> Self {
        Self {
            state: State::Closed { since: now },
            untried: true,
            ..Self::new()
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// When an attempt may start beside so many under way; `None` if not
    /// before one of them ends.
    pub(super) fn next_start(&self, in_flight: usize) -> Option<Timestamp> {
        match self.state {
            State::Open { probe, .. } => (in_flight == 0).then_some(probe),
            State::Closed { .. } if self.row >= ROW && in_flight > 0 => None,
            State::Closed { since } => {
                let doublings = usize::BITS - in_flight.leading_zeros();
                Some(since.after(Duration::from_secs(doublings.into())))
            }
        }
    }

    /// Lets a probe start at once, because someone wants to know.
    pub(super) fn probe(&mut self) {
        if let State::Open { probe, .. } = &mut self.state {
            *probe = Timestamp::MIN;
        }
    }

    pub(super) fn succeeded(&mut self, now: Timestamp) -> Option<Change> {
        self.untried = false;
        self.row = 0;
        self.failing_since = None;
        self.last = None;
        if self.is_open() {
            self.state = State::Closed { since: now };
            self.minutes = Minutes::default();
            return Some(Change::Closed);
        }
        self.minutes.count(now, false);
        None
    }

    pub(super) fn failed(&mut self, id: DeliveryId, now: Timestamp) -> Option<Change> {
        match &mut self.state {
            // Attempts that were under way when it opened change nothing.
            State::Open { probe, .. } if now < *probe => None,
            State::Open { probe, pause } => {
                *pause = (*pause * 2).min(LONGEST_PAUSE);
                *probe = now.after(*pause);
                None
            }
            State::Closed { .. } => {
                self.minutes.count(now, true);
                if self.last.replace(id) != Some(id) {
                    self.row += 1;
                }
                let since = *self.failing_since.get_or_insert(now);
                let lasting = self.untried || now.since(since) >= LASTING;
                let failing = self.row >= ROW && lasting;
                if !failing && !self.minutes.are_mostly_failures(now) {
                    return None;
                }
                self.state = State::Open {
                    probe: now.after(FIRST_PAUSE),
                    pause: FIRST_PAUSE,
                };
                Some(Change::Opened)
            }
        }
    }
}

/// Results of the last five minutes.
#[derive(Debug, Clone, Copy, Default)]
struct Minutes([Minute; 5]);

#[derive(Debug, Clone, Copy, Default)]
struct Minute {
    number: u64,
    attempts: u32,
    failures: u32,
}

impl Minutes {
    fn count(&mut self, now: Timestamp, failed: bool) {
        let number = now.as_secs() / 60;
        let place = usize::try_from(number % self.0.len() as u64).unwrap_or_default();
        let minute = &mut self.0[place];
        if minute.number != number {
            *minute = Minute {
                number,
                ..Minute::default()
            };
        }
        minute.attempts += 1;
        minute.failures += u32::from(failed);
    }

    /// Whether at least 80 % of enough attempts failed.
    fn are_mostly_failures(&self, now: Timestamp) -> bool {
        let last = now.as_secs() / 60;
        let recent = last.saturating_sub(self.0.len() as u64 - 1)..=last;
        let (mut attempts, mut failures) = (0, 0);
        for minute in self
            .0
            .iter()
            .filter(|minute| recent.contains(&minute.number))
        {
            attempts += minute.attempts;
            failures += minute.failures;
        }
        attempts >= ENOUGH && u64::from(failures) * 5 >= u64::from(attempts) * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventId;

    fn id(n: u32) -> DeliveryId {
        DeliveryId::new(EventId::new(Timestamp::MIN, u128::from(n) << 16), 0)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + seconds)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new();
        for n in 0..4 {
            assert_eq!(breaker.failed(id(n), at(0)), None);
        }
        assert_eq!(breaker.failed(id(4), at(1)), Some(Change::Opened));
        breaker
    }

    #[test]
    fn first_results_that_fail_open_it_at_once() {
        let mut breaker = Breaker::untried(at(0));
        assert_eq!(breaker.next_start(0), Some(at(0)));
        assert_eq!(breaker.next_start(1), Some(at(1)));
        for n in 1..ROW {
            assert_eq!(breaker.failed(id(n), at(0)), None);
        }
        assert_eq!(breaker.failed(id(ROW), at(0)), Some(Change::Opened));

        let mut breaker = Breaker::untried(at(0));
        breaker.succeeded(at(0));
        for n in 1..=ROW {
            assert_eq!(breaker.failed(id(n), at(0)), None);
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let mut breaker = Breaker::new();
        for n in 0..30 {
            assert_eq!(breaker.succeeded(at(0)), None);
            assert_eq!(breaker.failed(id(n), at(9)), None);
        }
        assert!(opened().is_open());
    }

    #[test]
    fn a_row_that_is_over_at_once_only_lets_attempts_go_one_by_one() {
        let mut breaker = Breaker::new();
        breaker.succeeded(at(0));
        for n in 0..12 {
            assert_eq!(breaker.next_start(9).is_some(), n < 5);
            assert_eq!(breaker.failed(id(n), at(9)), None);
        }
        assert!(breaker.next_start(0) < Some(at(0)));
        breaker.succeeded(at(0));
        assert!(breaker.next_start(9) < Some(at(0)));
    }

    #[test]
    fn a_delivery_that_fails_again_and_again_counts_once_in_a_row() {
        let mut breaker = Breaker::new();
        for _ in 0..19 {
            assert_eq!(breaker.failed(id(1), at(0)), None);
        }
    }

    #[test]
    fn four_failures_of_five_within_five_minutes_open_it() {
        let fail = |step: u64| {
            let mut breaker = Breaker::new();
            (0..25_u32).find_map(|n| {
                let now = at(u64::from(n) * step);
                if n % 5 == 0 {
                    breaker.succeeded(now);
                    return None;
                }
                breaker.failed(id(n), now).map(|_| n)
            })
        };
        assert_eq!(fail(1), Some(19));
        assert_eq!(fail(29), None);
    }

    #[test]
    fn while_it_is_open_one_probe_at_a_time_starts_30_s_to_5_min_apart() {
        let mut breaker = opened();
        // Those that were under way do not make it wait longer.
        assert_eq!(breaker.failed(id(9), at(10)), None);
        let mut now = at(1);
        for pause in [30, 60, 120, 240, 300, 300] {
            now = now.after(Duration::from_secs(pause));
            assert_eq!(breaker.next_start(0), Some(now));
            assert_eq!(breaker.next_start(1), None);
            assert_eq!(breaker.failed(id(9), now), None);
        }
    }

    #[test]
    fn whoever_asks_for_an_attempt_need_not_wait_for_the_probe() {
        let mut breaker = opened();
        breaker.probe();
        assert_eq!(breaker.next_start(0), Some(Timestamp::MIN));
        breaker.failed(id(9), at(1));
        assert_eq!(breaker.next_start(0), Some(at(61)));
    }

    #[test]
    fn after_a_success_what_may_be_under_way_doubles_every_second() {
        let mut breaker = opened();
        assert_eq!(breaker.succeeded(at(30)), Some(Change::Closed));
        let allowed = |second| {
            let may = |n: &usize| {
                breaker
                    .next_start(*n)
                    .is_some_and(|time| time <= at(second))
            };
            (0..2_000).take_while(may).count()
        };
        assert_eq!([30, 31, 32, 33, 40].map(allowed), [1, 2, 4, 8, 1_024]);
    }
}
