//! An ordered subscription gets an event only once the earlier ones of the same
//! ordering key are settled.

use std::collections::BTreeMap;

use postrider::domain::Trigger;

use super::view::{Seen, View};

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
fn is_waiting(view: &View<'_>, ahead: postrider::domain::DeliveryId, seen: &Seen<'_>) -> bool {
    let (started, begin) = (seen.started.truth, seen.request.begin.truth);
    let event = ahead.event_id();
    let with_event = view.deliveries[&ahead].create_time == view.events[&event].create_time;
    // One that a replay made may have come later.
    let accepted = with_event
        && view.history.stored.iter().any(|call| {
            let mut stored = call.what.iter();
            call.is_done_before(started) && stored.any(|stored| stored.event.id == event)
        });
    let replayed = view.may_begin_anew(ahead, 0, begin);
    let cancelled = view.may_be_cancelled(ahead, begin, |_| true);
    let settled = view.requests_of(ahead).any(|other| {
        let last = other
            .logged
            .is_some_and(|attempt| attempt.next_attempt_time.is_none());
        last && other.recorded.is_some_and(|call| call.begin.truth <= begin)
    });
    accepted && !replayed && !cancelled && !settled
}
