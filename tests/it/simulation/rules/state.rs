//! In the end everything is settled, each delivery for a reason that was seen, and
//! what failed is found by who looks for it.

use std::collections::BTreeSet;

use postrider::domain::{Delivery, DeliveryState, State, StateCode, Trigger};

use super::{
    schedule::may_be_last,
    view::{Seen, View},
};
use crate::simulation::history::{Answer, Change};

/// What the reason for disabling may take to be written, in microseconds.
const SOON: u64 = 10_000_000;
/// The shortest time after which failures alone disable a subscription.
const FAILING: u64 = 10 * 60;

pub fn judge(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for delivery in view.deliveries.values() {
        if let Some(why) = unfounded(view, delivery) {
            found.push(format!("{why}: {delivery:?}"));
        }
    }
    let due = view.history.end.due;
    if due > 0
        && view
            .deliveries
            .values()
            .all(|delivery| delivery.state.is_settled())
    {
        found.push(format!("{due} places in the queues, and all is settled"));
    }
    let all: BTreeSet<_> = view.deliveries.keys().copied().collect();
    let by_state = &view.history.end.by_state;
    let listed: BTreeSet<_> = by_state.iter().map(|delivery| delivery.id).collect();
    for id in all.symmetric_difference(&listed) {
        found.push(format!("{id} is not listed by its state, or not without"));
    }
    cancelled(view, &mut found);
    disabled(view, &mut found);
    gone(view, &mut found);
    found
}

/// Why a delivery should not stand where it does.
fn unfounded(view: &View<'_>, delivery: &Delivery) -> Option<&'static str> {
    let last = view
        .requests_of(delivery.id)
        .rfind(|seen| seen.logged.is_some());
    let answer = last.and_then(Seen::answer);
    let succeeded = answer.is_some_and(Answer::succeeds);
    match delivery.state {
        DeliveryState::Succeeded => (!succeeded).then_some("succeeded without an answer"),
        DeliveryState::Failed => {
            let gone = answer == Some(&Answer::Status(410));
            let test = view.triggers.get(&delivery.id.event_id()) == Some(&Trigger::Test);
            let founded = gone || test || last.is_some_and(|last| may_be_last(view, last));
            (succeeded || !founded).then_some("failed before its last attempt")
        }
        DeliveryState::Cancelled => {
            let asked = view.may_be_cancelled(delivery.id, u64::MAX, |_| true);
            (!asked).then_some("cancelled by nobody")
        }
        // Told already.
        DeliveryState::Pending | DeliveryState::Delivering | DeliveryState::Retrying => None,
    }
}

/// What was cancelled stays so, unless somebody began anew.
fn cancelled(view: &View<'_>, found: &mut Vec<String>) {
    for call in view.history.changes.iter().filter(|call| call.is_done()) {
        let Change::Cancel(id) = call.what else {
            continue;
        };
        let anew = view.may_begin_anew(id, call.begin.truth, u64::MAX);
        let delivery = view.deliveries[&id];
        if delivery.state != DeliveryState::Cancelled && !anew {
            found.push(format!("was cancelled: {delivery:?}"));
        }
    }
}

/// A subscription is disabled by a rule only if what was answered says so.
fn disabled(view: &View<'_>, found: &mut Vec<String>) {
    for (id, writes) in &view.writes {
        for call in writes {
            let Some(now) = &call.what.now else { continue };
            let places = view.of_subscription.get(id).into_iter().flatten();
            let mut seen = places.map(|at| &view.seen[*at]);
            let before = |seen: &Seen<'_>| {
                seen.ended()
                    .is_some_and(|end| end.truth <= call.begin.truth)
            };
            let founded = match (now.state, now.state_reason.code) {
                (State::Disabled, StateCode::Gone) => {
                    seen.any(|seen| before(seen) && seen.answer() == Some(&Answer::Status(410)))
                }
                (State::Disabled, StateCode::Failing) => !seen.any(|seen| {
                    let since = call.begin.wall.as_secs().saturating_sub(FAILING);
                    let recent = seen.request.begin.wall.as_secs() > since;
                    let recorded = seen
                        .recorded
                        .is_some_and(|recorded| recorded.is_done_before(call.begin.truth));
                    recent && recorded && seen.answer().is_some_and(Answer::succeeds)
                }),
                _ => true,
            };
            if !founded {
                found.push(format!("was disabled for no reason: {now:?}"));
            }
        }
    }
}

/// A subscription whose endpoint is gone is disabled soon.
fn gone(view: &View<'_>, found: &mut Vec<String>) {
    for seen in &view.seen {
        let (Some(ended), Some(recorded)) = (seen.ended(), seen.recorded) else {
            continue;
        };
        let until = view.latest(recorded).saturating_add(SOON);
        let is_judged = seen.answer() == Some(&Answer::Status(410))
            && recorded.is_done()
            && until < view.life_end(seen.request.begin.life);
        if !is_judged {
            continue;
        }
        let versions = view.versions(seen.subscription, seen.started.truth, until);
        let disabled = versions.iter().any(|version| {
            version.is_none_or(|version| {
                version.state == State::Disabled || version.spec.url.as_str() != seen.request.url
            })
        });
        let refused = view.history.subscriptions.iter().any(|call| {
            let within = (ended.truth..=until).contains(&call.begin.truth);
            call.what.id == seen.subscription && within && !call.is_done()
        });
        if !disabled && !refused {
            found.push(format!("{} did not disable its subscription", seen.name()));
        }
    }
}
