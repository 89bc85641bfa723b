//! An ordered subscription gets an event only once the earlier ones of the same
//! ordering key are settled.

use std::collections::BTreeMap;

use postrider::domain::{DeliveryId, Trigger};

use super::view::{Seen, View};
use crate::simulation::history::{Call, Change};

pub fn judge(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for delivery in view.deliveries.values() {
        if let Some(key) = &delivery.ordering_key
            && delivery.trigger != Trigger::Test
        {
            let line = lines.entry((delivery.subscription_id, key)).or_default();
            line.push(delivery.id);
        }
    }
    for seen in &view.seen {
        let started = seen.started.truth;
        let versions = view.versions(seen.subscription, started, started);
        let ordered = versions
            .iter()
            .all(|version| version.is_some_and(|version| version.spec.ordered));
        let Some(key) = view.deliveries[&seen.delivery]
            .ordering_key
            .as_ref()
            .filter(|_| ordered)
        else {
            continue;
        };
        let line = &lines[&(seen.subscription, key)];
        let mut ahead = line
            .iter()
            .filter(|id| id.event_id() < seen.delivery.event_id());
        if let Some(ahead) = ahead.find(|id| is_waiting(view, **id, seen)) {
            found.push(format!("{} overtakes {ahead}", seen.name()));
        }
    }
    found
}

/// Whether a delivery was there, and not settled, for certain.
fn is_waiting(view: &View<'_>, ahead: DeliveryId, seen: &Seen<'_>) -> bool {
    let (started, begin) = (seen.started.truth, seen.request.begin.truth);
    let event = ahead.event_id();
    // One that a replay made may have come later.
    let with_event = view.deliveries[&ahead].create_time == view.events[&event].create_time;
    let accepted = view.history.stored.iter().any(|call| {
        let mut stored = call.what.iter();
        call.is_done_before(started) && stored.any(|stored| stored.event.id == event)
    });
    let changes = view.history.changes.iter();
    let changes = changes.filter(|call| call.may_have_worked() && call.begin.truth <= begin);
    // Since when it was begun anew.
    let mut since = 0;
    for call in changes {
        match call.what {
            Change::Replay(id) if id == seen.subscription => return false,
            Change::Retry(id) if id == ahead && call.is_done_before(started) => {
                since = call.begin.truth;
            }
            _ => {}
        }
    }
    let cancelled = view.may_be_cancelled(ahead, begin, |latest| latest >= since);
    let settled = view.requests_of(ahead).any(|other| {
        let last = other
            .logged
            .is_some_and(|attempt| attempt.next_attempt_time.is_none());
        let within = |call: &&Call<_>| call.begin.truth <= begin && view.latest(call) >= since;
        last && other.recorded.as_ref().is_some_and(within)
    });
    with_event && accepted && !cancelled && !settled
}
