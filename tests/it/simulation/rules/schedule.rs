//! Nothing is sent early, nor once it is settled: the first attempt when its event
//! is due, each other one when its retry policy and the receiver say.

use std::time::Duration;

use postrider::domain::{RetryPolicy, Schedule, Timestamp, Trigger};

use super::view::{Seen, View};
use crate::simulation::history::{Answer, Change};

pub fn judge(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for seen in &view.seen {
        if view.jumps(seen.started.truth, seen.request.begin.truth) {
            continue;
        }
        match seen.request.number {
            0 => found.push(format!("{} has no number", seen.name())),
            1 => first(view, seen, &mut found),
            _ => next(view, seen, &mut found),
        }
    }
    for seen in &view.seen {
        planned(view, seen, &mut found);
    }
    found
}

fn first(view: &View<'_>, seen: &Seen<'_>, found: &mut Vec<String>) {
    let event = view.events[&seen.delivery.event_id()];
    let due = event.deliver_after.unwrap_or(event.create_time);
    let due = due.max(event.create_time);
    let at = seen.request.begin;
    if at.wall < due && !view.may_begin_anew(seen.delivery, 0, at.truth) {
        found.push(format!(
            "{} is due at {due} and came at {}",
            seen.name(),
            at.wall
        ));
    }
}

fn next(view: &View<'_>, seen: &Seen<'_>, found: &mut Vec<String>) {
    let at = seen.request.begin;
    let before = seen.request.number - 1;
    let mut earlier = view.requests_of(seen.delivery);
    let logged = |other: &&Seen<'_>| other.logged.is_some() && other.request.number == before;
    let Some(last) = earlier.find(logged) else {
        return found.push(format!("{} follows no attempt {before}", seen.name()));
    };
    if view.may_begin_anew(seen.delivery, last.started.truth, at.truth) {
        return;
    }
    match due_after(view, last) {
        Due::Never(why) => found.push(format!("{} came though {why}", seen.name())),
        Due::From(due) if at.wall < due => {
            found.push(format!(
                "{} is due at {due} and came at {}",
                seen.name(),
                at.wall
            ));
        }
        Due::From(_) => {}
    }
}

/// When another attempt may follow, at the earliest.
pub enum Due {
    Never(&'static str),
    From(Timestamp),
}

/// When another attempt may follow this one, which was answered, if nobody begins
/// anew.
pub fn due_after(view: &View<'_>, last: &Seen<'_>) -> Due {
    let Some((end, answer)) = &last.request.answered else {
        return Due::Never("the one before was not answered");
    };
    match answer {
        Answer::Status(200..=299) => return Due::Never("the one before succeeded"),
        Answer::Status(410) => return Due::Never("the one before was told that all is over"),
        _ if is_test(view, last) => return Due::Never("tests are not repeated"),
        _ => {}
    }
    let possible = delays(view, last);
    let Some(shortest) = possible.iter().filter_map(|delay| delay.least).min() else {
        return Due::Never("the one before was the last");
    };
    let mut due = end.wall.after(shortest);
    if let Answer::Later(_, time) = answer {
        due = due.max(*time);
    }
    let oldest = possible.iter().filter(|delay| delay.least.is_some());
    let oldest = oldest.map(|delay| delay.oldest).max().flatten();
    match oldest {
        Some(oldest) if due > oldest => Due::Never("it is too old"),
        _ => Due::From(due),
    }
}

/// Whether it is a test, which it is no longer once somebody retries it.
fn is_test(view: &View<'_>, seen: &Seen<'_>) -> bool {
    view.triggers[&seen.delivery.event_id()] == Trigger::Test
        && !view.may_begin_anew(seen.delivery, 0, seen.request.begin.truth)
}

/// What a policy says of an attempt; each chain it may be in, and each policy that
/// may have held, has another one.
struct Delay {
    /// At least so long; none after the last.
    least: Option<Duration>,
    /// With all jitter.
    most: Duration,
    /// No attempt after this time; `None` if it does not matter how old it is.
    oldest: Option<Timestamp>,
}

fn delays(view: &View<'_>, last: &Seen<'_>) -> Vec<Delay> {
    let (started, ended) = (last.started.truth, last.request.begin.truth);
    let anew = view.may_begin_anew(last.delivery, 0, ended);
    let places = places(view, last);
    let event = view.events[&last.delivery.event_id()];
    let begun = event.deliver_after.unwrap_or(event.create_time);
    let begun = begun.max(event.create_time);
    let mut delays = Vec::new();
    for version in view.versions(last.subscription, started, started) {
        let Some(version) = version else { continue };
        let policy = &version.spec.retry_policy;
        for place in places.clone() {
            let exact = delay(policy, place);
            let most = exact.unwrap_or_default();
            let age = policy.max_age().filter(|_| !anew);
            delays.push(Delay {
                least: exact,
                most: most.mul_f64(1.0 + policy.jitter()),
                oldest: age.map_or(Some(Timestamp::MAX), |age| Some(begun.after(age))),
            });
        }
    }
    delays
}

/// Which attempts of a chain this one may be: it has those behind it that did not
/// begin before the delivery was last begun anew.
fn places(view: &View<'_>, last: &Seen<'_>) -> std::ops::RangeInclusive<u32> {
    let number = last.request.number;
    let started = last.started.truth;
    let changes = view.history.changes.iter();
    let changes = changes.filter(|call| call.may_have_worked() && call.begin.truth <= started);
    let (mut fewest, mut most) = (0, 0);
    for call in changes {
        match call.what {
            Change::Replay(id) if id == last.subscription => return 1..=number,
            Change::Retry(id) if id == last.delivery => {
                let begun_by = |truth| {
                    let mut begun: Vec<_> = view
                        .requests_of(id)
                        .filter(|other| other.started.truth < truth && other.logged.is_some())
                        .map(|other| other.request.number)
                        .collect();
                    begun.dedup();
                    u32::try_from(begun.len())
                        .unwrap_or(u32::MAX)
                        .min(number - 1)
                };
                if call.is_done_before(started) {
                    fewest = begun_by(call.begin.truth);
                }
                most = begun_by(view.latest(call).saturating_add(1));
            }
            _ => {}
        }
    }
    number - most..=number - fewest
}

/// The delay after so many attempts.
fn delay(policy: &RetryPolicy, attempts: u32) -> Option<Duration> {
    let nth = attempts as usize - 1;
    match policy.schedule() {
        Schedule::Delays(delays) => delays.get(nth).copied(),
        Schedule::Exponential {
            first,
            factor,
            cap,
            attempts: all,
        } => {
            let mut delay = *first;
            for _ in 0..nth {
                delay = delay.mul_f64(*factor).min(*cap);
            }
            (attempts < *all).then_some(delay)
        }
    }
}

/// What the log says about the next attempt is what the policy says.
fn planned(view: &View<'_>, seen: &Seen<'_>, found: &mut Vec<String>) {
    let (Some(attempt), Some(ended), Some(recorded)) = (seen.logged, seen.ended(), seen.recorded)
    else {
        return;
    };
    // Somebody else may have decided meanwhile.
    if view.may_be_changed(seen.delivery, seen.started.truth, view.latest(recorded)) {
        return;
    }
    let tell = |what: &str| {
        format!(
            "{}, answered at {}: {what}, {attempt:?}",
            seen.name(),
            ended.wall
        )
    };
    match (due_after(view, seen), attempt.next_attempt_time) {
        (Due::Never(why), Some(_)) => {
            found.push(tell(&format!("another one is planned though {why}")));
        }
        (Due::From(due), Some(next)) if next < due => {
            found.push(tell(&format!("the next one is planned before {due}")));
        }
        (Due::From(_), Some(next)) if next > latest(view, seen) => {
            found.push(tell(&format!(
                "the next one is planned after {}",
                latest(view, seen)
            )));
        }
        (Due::From(_), None) if !may_be_last(view, seen) => {
            found.push(tell("no other one is planned"));
        }
        _ => {}
    }
}

fn latest(view: &View<'_>, seen: &Seen<'_>) -> Timestamp {
    let Some((end, answer)) = &seen.request.answered else {
        return Timestamp::MAX;
    };
    let most = delays(view, seen).iter().map(|delay| delay.most).max();
    let most = end.wall.after(most.unwrap_or_default());
    // A microsecond for what is rounded.
    let most = most.after(Duration::from_micros(1));
    match answer {
        Answer::Later(_, time) => most.max(*time),
        _ => most,
    }
}

/// Whether it may have been the last, by some policy, or too old with all jitter.
pub fn may_be_last(view: &View<'_>, seen: &Seen<'_>) -> bool {
    let latest = latest(view, seen);
    let ages = |policy: &RetryPolicy| policy.max_age().is_some();
    let versions = view.versions(seen.subscription, seen.started.truth, seen.started.truth);
    let aging = versions.iter().flatten();
    let aging = aging
        .filter(|version| ages(&version.spec.retry_policy))
        .count()
        > 0;
    delays(view, seen).iter().any(|delay| {
        let too_old = delay.oldest.is_some_and(|oldest| latest > oldest);
        let anew = view.may_begin_anew(seen.delivery, 0, seen.request.begin.truth);
        delay.least.is_none() || too_old || aging && anew
    })
}
