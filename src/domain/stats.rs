//! What is counted of attempts as they are recorded, so that nobody has to read
//! them all to say how it goes.
//!
//! Attempts of a subscription, of events of a type, are counted together by the
//! five minutes in which they began: how many succeeded and failed, and how long
//! they took, on a scale with four steps to each doubling.

use std::{collections::BTreeMap, time::Duration};

use super::{Attempt, EventType, SubscriptionId, TimeRange, Timestamp, Trigger};

/// Steps of the scale of durations, in which every number of microseconds has
/// its place.
const STEPS: u16 = 256;

/// What attempts are counted under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatsKey {
    /// Where they were sent.
    pub subscription_id: SubscriptionId,
    /// When the five minutes begin in which they began.
    pub start: Timestamp,
    /// The type of their events.
    pub event_type: EventType,
}

impl StatsKey {
    /// How long attempts are counted together.
    pub const SPAN: Duration = Duration::from_mins(5);

    /// What the attempt is counted under.
    pub fn of(attempt: &Attempt) -> Self {
        Self {
            subscription_id: attempt.subscription_id,
            start: floor(attempt.start_time, Self::SPAN),
            event_type: attempt.event_type.clone(),
        }
    }
}

/// What a number of a count tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Series {
    /// Durations of the attempts that succeeded.
    Succeeded,
    /// Durations of those that failed.
    Failed,
    /// Times from the acceptance of an event until it was delivered.
    Delivered,
}

/// How many attempts there were of each slot: of each outcome and duration. Or
/// how many more than before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts(BTreeMap<u16, i64>);

impl Counts {
    /// The slots that an attempt is counted in: by its duration, and the first
    /// delivery of an event also by how long that took since its acceptance.
    pub fn slots(attempt: &Attempt) -> (u16, Option<u16>) {
        let series = match attempt.error_kind {
            None => Series::Succeeded,
            Some(_) => Series::Failed,
        };
        let delivered = series == Series::Succeeded && attempt.trigger == Trigger::Event;
        let end = attempt.start_time.after(attempt.duration);
        let lasted = end.since(attempt.delivery_id.time());
        (
            slot(series, attempt.duration),
            delivered.then(|| slot(Series::Delivered, lasted)),
        )
    }

    /// Counts an attempt, or one less if `by` is -1.
    pub fn count(&mut self, attempt: &Attempt, by: i64) {
        let (took, lasted) = Self::slots(attempt);
        for slot in [Some(took), lasted].into_iter().flatten() {
            self.add(slot, by);
        }
    }

    /// Counts on in a slot.
    pub fn add(&mut self, slot: u16, by: i64) {
        let count = self.0.entry(slot).or_default();
        *count += by;
        if *count == 0 {
            self.0.remove(&slot);
        }
    }

    /// Counts on by these.
    pub fn merge(&mut self, more: &Self) {
        for (slot, by) in more.iter() {
            self.add(slot, by);
        }
    }

    /// The slots in order, each with its count.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u16, i64)> {
        self.0.iter().map(|(slot, count)| (*slot, *count))
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Attempts that succeeded.
    pub fn succeeded(&self) -> u64 {
        self.sum(&[Series::Succeeded])
    }

    /// Attempts that failed.
    pub fn failed(&self) -> u64 {
        self.sum(&[Series::Failed])
    }

    /// How long attempts took: the duration that so many of 100 do not exceed;
    /// off by an eighth at most. `None` if there were none.
    pub fn duration(&self, percent: u64) -> Option<Duration> {
        self.percentile(&[Series::Succeeded, Series::Failed], percent)
    }

    /// The same of the times from the acceptance of events until they were
    /// delivered.
    pub fn delivered_within(&self, percent: u64) -> Option<Duration> {
        self.percentile(&[Series::Delivered], percent)
    }

    fn sum(&self, series: &[Series]) -> u64 {
        self.steps(series).values().sum()
    }

    /// Counts by steps of the scale, shortest first.
    fn steps(&self, of: &[Series]) -> BTreeMap<u16, u64> {
        let mut steps = BTreeMap::<u16, u64>::new();
        for series in of {
            let first = *series as u16 * STEPS;
            for (slot, count) in self.0.range(first..first + STEPS) {
                *steps.entry(slot - first).or_default() += u64::try_from(*count).unwrap_or(0);
            }
        }
        steps
    }

    fn percentile(&self, of: &[Series], percent: u64) -> Option<Duration> {
        let steps = self.steps(of);
        let all: u64 = steps.values().sum();
        let rank = (all * percent).div_ceil(100).max(1);
        let mut passed = 0;
        for (step, count) in steps {
            passed += count;
            if rank <= passed {
                let (low, high) = bounds(step);
                return Some(Duration::from_micros(low + (high - low) / 2));
            }
        }
        None
    }
}

/// Which counts are asked for, and how they are summed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsQuery {
    /// Only this subscription.
    pub subscription_id: Option<SubscriptionId>,
    /// Only events of this type.
    pub event_type: Option<EventType>,
    /// Only attempts of the five minutes that begin then.
    pub started: TimeRange,
    /// Apart for each subscription.
    pub by_subscription: bool,
    /// Apart for each event type.
    pub by_event_type: bool,
    /// Apart for each span so long, a multiple of [`StatsKey::SPAN`].
    pub by_span: Option<Duration>,
}

/// What was summed; a part that was not asked for is `None`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatsGroup {
    /// When the span begins.
    pub start: Option<Timestamp>,
    /// The subscription.
    pub subscription_id: Option<SubscriptionId>,
    /// The type of the events.
    pub event_type: Option<EventType>,
}

impl StatsQuery {
    /// Where a count goes, if it is asked for.
    pub fn group(&self, key: &StatsKey) -> Option<StatsGroup> {
        let wanted = self.started.contains(key.start)
            && self
                .subscription_id
                .is_none_or(|only| only == key.subscription_id)
            && self
                .event_type
                .as_ref()
                .is_none_or(|only| *only == key.event_type);
        wanted.then(|| StatsGroup {
            start: self.by_span.map(|span| floor(key.start, span)),
            subscription_id: self.by_subscription.then_some(key.subscription_id),
            event_type: self.by_event_type.then(|| key.event_type.clone()),
        })
    }
}

/// The last multiple of a span, counted from 1970, that is not after a time.
pub fn floor(time: Timestamp, span: Duration) -> Timestamp {
    let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1);
    Timestamp::from_micros(time.as_micros() / span * span)
}

fn slot(series: Series, duration: Duration) -> u16 {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    series as u16 * STEPS + step(micros)
}

/// The place of a number on the scale: below 4 each has its own, and then there
/// are four to each doubling.
fn step(number: u64) -> u16 {
    let Some(doublings) = number.checked_ilog2().filter(|doublings| *doublings > 1) else {
        return u16::try_from(number).unwrap_or(0);
    };
    let quarter = (number >> (doublings - 2)) & 3;
    u16::try_from(u64::from(doublings - 1) * 4 + quarter).unwrap_or(STEPS - 1)
}

/// The first number of a step, and the first of the next.
fn bounds(step: u16) -> (u64, u64) {
    let step = u64::from(step);
    if step < 4 {
        return (step, step + 1);
    }
    let (shift, quarter) = (step / 4 - 1, step % 4);
    let low = (4 + quarter) << shift;
    (low, low.saturating_add(1 << shift))
}

#[cfg(test)]
mod tests;
