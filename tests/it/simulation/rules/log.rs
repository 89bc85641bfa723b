//! The log is what receivers saw: every attempt once, in order, and nothing is left
//! out but what was under way when a process ended.

use std::collections::{BTreeMap, BTreeSet};

use postrider::domain::{Attempt, LastOutcome};

use super::view::{Seen, View};
use crate::simulation::history::Outcome;

pub fn judge(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    numbers(view, &mut found);
    for seen in &view.seen {
        logged(view, seen, &mut found);
    }
    together(view, &mut found);
    readers(view, &mut found);
    found
}

/// The attempts of a delivery are numbered without a gap, and each is one that a
/// receiver saw.
fn numbers(view: &View<'_>, found: &mut Vec<String>) {
    let seen: BTreeSet<_> = view
        .seen
        .iter()
        .filter_map(|seen| Some(seen.logged?.id))
        .collect();
    for (delivery, log) in &view.log {
        let numbers: Vec<_> = log.iter().map(|attempt| attempt.number).collect();
        if numbers
            .iter()
            .zip(1..)
            .any(|(number, place)| *number != place)
        {
            found.push(format!("{delivery} has attempts {numbers:?}"));
        }
        for attempt in log {
            if !seen.contains(&attempt.id) {
                found.push(format!("nobody got {attempt:?}"));
            }
        }
    }
    for (id, delivery) in &view.deliveries {
        let log = view.log.get(id).map(Vec::as_slice).unwrap_or_default();
        let last = log.last().map(|attempt| LastOutcome {
            error_kind: attempt.error_kind,
            response_status: attempt.response_status,
        });
        if (delivery.attempt_count as usize, delivery.last_outcome) != (log.len(), last) {
            let attempts = log.len();
            found.push(format!(
                "{delivery:?} has {attempts} attempts, the last {last:?}"
            ));
        }
    }
}

/// A request is in the log as it was, unless it was under way at the end of a life.
fn logged(view: &View<'_>, seen: &Seen<'_>, found: &mut Vec<String>) {
    let outcome = seen.recorded.map(|call| call.outcome);
    let Some(attempt) = seen.logged else {
        let life = seen.request.begin.life;
        let again = view.history.started.iter().any(|start| {
            start.delivery == seen.delivery
                && start.at.life == life
                && start.at.truth > seen.request.begin.truth
        });
        // Where the store failed nobody knows, and it is tried again.
        let known = outcome != Some(Outcome::Unknown);
        if outcome == Some(Outcome::Done) || again && known {
            found.push(format!("{} is not in the log", seen.name()));
        }
        return;
    };
    let Some(answer) = seen.answer() else {
        return found.push(format!("{} was logged and not answered", seen.name()));
    };
    let status = answer.status();
    let took = seen.ended().map(|end| end.truth - seen.request.begin.truth);
    let right = attempt.response_status == status
        && attempt.error_kind.is_none() == answer.succeeds()
        && Some(attempt.duration.as_micros()) == took.map(u128::from)
        && attempt.subscription_id == seen.subscription;
    if !right {
        found.push(format!("{} got {status:?} and is {attempt:?}", seen.name()));
    }
}

/// A delivery is attempted by one at a time.
fn together(view: &View<'_>, found: &mut Vec<String>) {
    for places in view.of_delivery.values() {
        for pair in places.windows(2) {
            let [first, second] = [&view.seen[pair[0]], &view.seen[pair[1]]];
            let (begin, end) = (second.request.begin, first.ended());
            let is_over = end.is_some_and(|end| end.truth <= begin.truth);
            if first.request.begin.life == begin.life && !is_over {
                found.push(format!("{} while {}", second.name(), first.name()));
            }
            if first.logged.is_some() && second.request.number <= first.request.number {
                found.push(format!("{} after {}", second.name(), first.name()));
            }
        }
    }
}

/// Lists, tails and counts tell what the log does.
fn readers(view: &View<'_>, found: &mut Vec<String>) {
    let end = &view.history.end;
    let ids = |attempts: &mut dyn Iterator<Item = &Attempt>| {
        attempts.map(|attempt| attempt.id).collect::<Vec<_>>()
    };
    let mut listed = ids(&mut end.listed.iter().map(|attempt| &**attempt));
    let mut log = ids(&mut end.log.iter().map(|attempt| &**attempt));
    listed.sort();
    log.sort();
    if listed != log {
        found.push(format!(
            "{} attempts listed, {} logged",
            listed.len(),
            log.len()
        ));
    }
    let mut by_tenant: BTreeMap<_, Vec<&Attempt>> = BTreeMap::new();
    for attempt in &end.log {
        by_tenant.entry(&attempt.tenant).or_default().push(attempt);
    }
    for (tenant, log) in by_tenant {
        let told = view.history.tails.get(tenant).into_iter().flatten();
        let told = ids(&mut told.map(|attempt| &**attempt));
        if told != ids(&mut log.iter().copied()) {
            let (told, log) = (told.len(), log.len());
            found.push(format!(
                "tail of {tenant} told {told} of {log} attempts, or in another order"
            ));
        }
        let counts = end
            .counts
            .get(tenant)
            .map(|counts| (counts.succeeded(), counts.failed()));
        let failed = log
            .iter()
            .filter(|attempt| attempt.error_kind.is_some())
            .count() as u64;
        let right = (log.len() as u64 - failed, failed);
        if counts != Some(right) {
            found.push(format!("{counts:?} counted of {tenant}, logged {right:?}"));
        }
    }
}
