//! No more is under way than there are permits, and no stretch of time has more
//! attempts than the rate allows.

use postrider::domain::{RateLimit, SubscriptionId};

use super::view::{Seen, View, seconds};

/// How much earlier a timer may be, in seconds.
const SLACK: f64 = 0.005;

pub fn judge(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for id in view.of_subscription.keys() {
        permits(view, *id, &mut found);
        rate(view, *id, &mut found);
    }
    for (_, end, settings) in &view.history.lives {
        let ours = view
            .seen
            .iter()
            .filter(|seen| seen.request.begin.life == end.life);
        let ours: Vec<_> = ours.collect();
        for seen in &ours {
            let together = ours.iter().filter(|other| is_beside(other, seen)).count();
            if together > settings.max_in_flight {
                let most = settings.max_in_flight;
                found.push(format!(
                    "{} is one of {together}, {most} allowed",
                    seen.name()
                ));
            }
        }
    }
    found
}

/// Whether one request is under way when another begins.
fn is_beside(one: &Seen<'_>, other: &Seen<'_>) -> bool {
    let at = other.request.begin;
    one.request.begin.life == at.life
        && one.request.begin.truth <= at.truth
        && one.ended().is_none_or(|end| end.truth > at.truth)
}

fn permits(view: &View<'_>, id: SubscriptionId, found: &mut Vec<String>) {
    let places = &view.of_subscription[&id];
    for at in places {
        let seen = &view.seen[*at];
        let together = places
            .iter()
            .filter(|other| is_beside(&view.seen[**other], seen))
            .count();
        let versions = view.versions(id, seen.started.truth, seen.started.truth);
        let most = versions
            .iter()
            .flatten()
            .map(|version| version.spec.max_in_flight.get());
        let most = most.max().unwrap_or(0) as usize;
        // One that began later may have read less and gone out first.
        let later = places.iter().filter(|other| {
            let other = &view.seen[**other];
            is_beside(other, seen) && other.started.truth > seen.started.truth
        });
        if together.saturating_sub(later.count()) > most {
            found.push(format!(
                "{} is one of {together}, {most} allowed",
                seen.name()
            ));
        }
    }
}

fn rate(view: &View<'_>, id: SubscriptionId, found: &mut Vec<String>) {
    let mut starts: Vec<_> = view.of_subscription[&id]
        .iter()
        .map(|at| &view.seen[*at])
        .collect();
    starts.sort_by_key(|seen| seen.started.truth);
    let limit = |seen: &Seen<'_>| -> Option<RateLimit> {
        let versions = view.versions(id, seen.started.truth, seen.started.truth);
        match versions[..] {
            [Some(version)] => version.spec.rate_limit,
            _ => None,
        }
    };
    // Runs of attempts under one limit and one clock.
    let mut runs: Vec<(RateLimit, Vec<u64>)> = Vec::new();
    let mut last: Option<(u32, u64)> = None;
    for seen in starts {
        let at = seen.started.truth;
        let Some(limit) = limit(seen) else {
            last = None;
            continue;
        };
        // A subscription that seems to be younger than the process counts as one
        // that was sent nothing, and with a clock that was set it may seem so.
        let goes_on = last.is_some_and(|(life, last)| {
            !view.jumps(if life == seen.started.life { last } else { 0 }, at)
        });
        match runs.last_mut() {
            Some((same, run)) if goes_on && *same == limit => run.push(at),
            _ => runs.push((limit, vec![at])),
        }
        last = Some((seen.started.life, at));
    }
    for (limit, run) in runs {
        if let Some((count, from, to)) = too_many(limit, &run) {
            found.push(format!(
                "{id} was sent {count} from {:.3} s to {:.3} s, {limit:?}",
                seconds(from),
                seconds(to)
            ));
        }
    }
}

fn too_many(limit: RateLimit, run: &[u64]) -> Option<(usize, u64, u64)> {
    for (first, from) in run.iter().enumerate() {
        for (last, to) in run.iter().enumerate().skip(first) {
            let count = last - first + 1;
            let most =
                f64::from(limit.burst().get()) + (seconds(to - from) + SLACK) * limit.per_second();
            #[expect(clippy::cast_precision_loss, reason = "it is small")]
            if count as f64 > most + 0.01 {
                return Some((count, *from, *to));
            }
        }
    }
    None
}
