//! Nothing is sent to a subscription that is disabled or deleted, to another place
//! than it names, or for a delivery that was cancelled or erased.

use postrider::domain::{Erasure, State};

use super::view::{Seen, View};
use crate::simulation::history::Change;

pub fn judge(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for seen in &view.seen {
        let started = seen.started.truth;
        let versions = view.versions(seen.subscription, started, started);
        let active = versions.iter().flatten();
        let mut active = active.filter(|version| version.state == State::Active);
        if !active.any(|version| version.spec.url.as_str() == seen.request.url) {
            let known: Vec<_> = versions
                .iter()
                .map(|version| version.map(|version| (version.state, version.spec.url.as_str())))
                .collect();
            found.push(format!("{} went to {known:?}", seen.name()));
        }
        stopped(view, seen, &mut found);
    }
    found
}

fn stopped(view: &View<'_>, seen: &Seen<'_>, found: &mut Vec<String>) {
    let started = seen.started.truth;
    let changes = view.history.changes.iter();
    for call in changes.filter(|call| call.is_done_before(started)) {
        let stopped = match &call.what {
            Change::Cancel(id) => {
                *id == seen.delivery
                    && !view.may_begin_anew(*id, call.begin.truth, seen.request.begin.truth)
            }
            Change::Erase(Erasure::Event(event)) => *event == seen.delivery.event_id(),
            _ => false,
        };
        if stopped {
            found.push(format!("{} came after {:?}", seen.name(), call.what));
        }
    }
}
