//! Once attempts failed again and again, one probe at a time goes out, and not
//! soon. What opened the breaker for certain is judged, not what may have.

use std::collections::BTreeSet;

use postrider::domain::{DeliveryId, SubscriptionId};

use super::view::{Seen, View};
use crate::simulation::history::{Answer, Change};

/// Failures of so many deliveries in a row open it, if they last.
const ROW: usize = 5;
const LASTING: u64 = 1_000_000;
/// Pause before a probe, in microseconds.
const PAUSE: u64 = 30_000_000;
/// How late the scheduler may hear of a result that was recorded: it is looked
/// whether the subscription is to be disabled before.
const LATE: u64 = 8_000_000;

pub fn judge(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for id in view.of_subscription.keys() {
        for (_, end, _) in &view.history.lives {
            life(view, *id, end.life, &mut found);
        }
    }
    found
}

/// Attempts from which their share of failures may open it, too.
const ENOUGH: usize = 20;

/// The failures of a subscription since the last that went well.
#[derive(Default)]
struct Row {
    deliveries: BTreeSet<DeliveryId>,
    count: usize,
    /// When the first of them was recorded at the latest.
    since: u64,
    /// When it opened at the earliest.
    earliest: Option<u64>,
    /// When it was open for certain, and from when on the pause lasts at least.
    open: Option<(u64, u64)>,
}

fn life(view: &View<'_>, id: SubscriptionId, life: u32, found: &mut Vec<String>) {
    let ours = view.of_subscription[&id].iter().map(|at| &view.seen[*at]);
    let ours: Vec<_> = ours
        .filter(|seen| seen.request.begin.life == life)
        .collect();
    let mut steps: Vec<(u64, Step<'_>)> = Vec::new();
    for seen in &ours {
        steps.push((seen.started.truth, Step::Start(seen)));
        if let (Some(end), Some(recorded)) = (seen.ended(), seen.recorded) {
            if seen.answer().is_some_and(Answer::succeeds) {
                steps.push((end.truth, Step::Success));
            } else if recorded.is_done() {
                steps.push((view.latest(recorded), Step::Failure(seen)));
            }
        }
    }
    for call in &view.history.changes {
        let asks = match call.what {
            Change::Test(to) | Change::Replay(to) => to == id,
            Change::Retry(delivery) => view.deliveries[&delivery].subscription_id == id,
            _ => false,
        };
        if asks {
            steps.push((call.begin.truth, Step::Asked));
            steps.push((view.latest(call), Step::Asked));
        }
    }
    // Whoever asks is heard at once.
    steps.sort_by_key(|(at, step)| (*at, !matches!(step, Step::Asked)));
    let mut row = Row::default();
    let mut results = 0;
    for (at, step) in steps {
        match step {
            Step::Success => {
                row = Row::default();
                results += 1;
            }
            // Failures before it still count, and nobody knows whether it is open.
            Step::Asked => {
                row = Row {
                    count: ROW,
                    ..Row::default()
                };
            }
            Step::Failure(seen) => {
                results += 1;
                row.failed(seen, at, results);
            }
            Step::Start(seen) => {
                let Some((open, last)) = row.open else {
                    continue;
                };
                let early = at > open + LATE && at < last + PAUSE;
                let beside = ours.iter().any(|other| {
                    let (begin, end) = (other.started.truth, other.ended());
                    begin > open + LATE
                        && begin <= at
                        && !std::ptr::eq(*other, seen)
                        && end.is_none_or(|end| end.truth > at)
                });
                if beside && at > open + LATE && !view.jumps(row.since, at) {
                    found.push(format!("{} is a probe beside another", seen.name()));
                }
                // Its clock may have been set.
                if early && !view.jumps(row.since, at) {
                    found.push(format!("{} is no probe: one failed just now", seen.name()));
                }
            }
        }
    }
}

enum Step<'a> {
    Start(&'a Seen<'a>),
    Failure(&'a Seen<'a>),
    Success,
    /// Somebody asks for an attempt.
    Asked,
}

impl Row {
    /// Takes in a failure that was recorded by a time, one of so many results.
    fn failed(&mut self, seen: &Seen<'_>, at: u64, results: usize) {
        let Some(end) = seen.ended() else { return };
        if self.deliveries.is_empty() {
            self.since = at;
        }
        self.count += 1;
        self.deliveries.insert(seen.delivery);
        if self.count >= ROW || results >= ENOUGH {
            self.earliest.get_or_insert(end.truth);
        }
        let lasting = end.truth > self.since + LATE + LASTING;
        match &mut self.open {
            // Only what began since is a probe.
            Some((open, last)) if seen.started.truth > *open + LATE => *last = end.truth,
            None if self.deliveries.len() >= ROW && lasting => {
                self.open = self.earliest.map(|earliest| (at, earliest));
            }
            _ => {}
        }
    }
}
