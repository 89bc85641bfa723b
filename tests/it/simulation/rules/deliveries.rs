//! Every acknowledged event is there, once, and has a delivery to each subscription
//! that wanted it and to no other.

use std::collections::{BTreeMap, BTreeSet};

use postrider::domain::{Event, NewEvent, State, Subscription, SubscriptionId, Trigger};

use super::view::View;
use crate::simulation::history::{Change, Outcome};

pub fn judge(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    acknowledged(view, &mut found);
    stored(view, &mut found);
    let mut by_event: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for delivery in view.deliveries.values() {
        let subscriptions = by_event.entry(delivery.id.event_id()).or_default();
        subscriptions.insert(delivery.subscription_id);
    }
    for event in view.events.values() {
        let got = by_event.remove(&event.id).unwrap_or_default();
        let Some(whole) = view.whole.get(&event.id) else {
            continue;
        };
        if view.triggers[&event.id] == Trigger::Event {
            routed(view, whole, &got, &mut found);
        } else {
            // A replay takes it for what its subscription missed.
            let own = got.iter().filter(|id| !is_replayed(view, **id)).count();
            if got.is_empty() || own > 1 {
                found.push(format!("test {} has deliveries to {got:?}", event.id));
            }
        }
    }
    for event in by_event.keys() {
        found.push(format!("{event} has deliveries and is not there"));
    }
    found
}

/// What was answered is so, however often a publisher asks.
fn acknowledged(view: &View<'_>, found: &mut Vec<String>) {
    let mut keys = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for call in view.history.published.iter().filter(|call| call.is_done()) {
        let published = &call.what;
        if published.accepted.len() != published.events.len() {
            found.push(format!("{published:?} was answered in part"));
        }
        for (event, accepted) in published.events.iter().zip(&published.accepted) {
            let id = accepted.event_id;
            let known = match &event.idempotency_key {
                Some(key) => keys.insert((published.tenant.clone(), key.clone()), id),
                None => None,
            };
            if known.is_some_and(|known| known != id) {
                found.push(format!("{id} repeats {known:?}: {event:?}"));
            }
            // An unanswered call may have been the first.
            let first = accepted.duplicate && event.idempotency_key.is_some();
            if known.is_some() != accepted.duplicate && !(first && known.is_none()) {
                found.push(format!("{accepted:?} of {event:?}, known as {known:?}"));
            }
            if !accepted.duplicate && !ids.insert(id) {
                found.push(format!("{id} was given twice"));
            }
            match view.events.get(&id) {
                None => found.push(format!("{id} is lost")),
                Some(kept) if !is_kept(event, kept) => {
                    found.push(format!("{event:?} was kept as {kept:?}"));
                }
                Some(_) => {}
            }
        }
    }
    let mut kept = BTreeSet::new();
    for event in view.events.values() {
        if let Some(key) = &event.idempotency_key
            && !kept.insert((&event.tenant, key))
        {
            found.push(format!("{} is there twice by its key {key}", event.id));
        }
    }
}

fn is_kept(event: &NewEvent, kept: &Event) -> bool {
    let content = event.payload == kept.payload && event.attributes == kept.attributes;
    event.event_type == kept.event_type
        && event.idempotency_key == kept.idempotency_key
        && event.ordering_key == kept.ordering_key
        && event.deliver_after == kept.deliver_after
        && (content || kept.erase_time.is_some())
}

/// What the store acknowledged is there, and nothing else.
fn stored(view: &View<'_>, found: &mut Vec<String>) {
    let mut known = BTreeSet::new();
    for call in &view.history.stored {
        for stored in &call.what {
            known.insert(stored.event.id);
            let lost = !view.events.contains_key(&stored.event.id);
            if call.is_done() && lost && stored.event.idempotency_key.is_none() {
                found.push(format!("{} is lost from the store", stored.event.id));
            }
        }
    }
    for event in view.events.keys().filter(|id| !known.contains(id)) {
        found.push(format!("{event} was published by nobody"));
    }
}

fn routed(view: &View<'_>, event: &Event, got: &BTreeSet<SubscriptionId>, found: &mut Vec<String>) {
    let calls = view.history.stored.iter().filter(|call| {
        let mut events = call.what.iter();
        events.any(|stored| stored.event.id == event.id)
    });
    let calls: Vec<_> = calls.collect();
    let Some(from) = calls.iter().map(|call| call.begin.truth).min() else {
        return;
    };
    let tried = calls.iter().filter(|call| call.outcome != Outcome::Refused);
    let to = tried
        .map(|call| view.latest(call))
        .max()
        .unwrap_or(u64::MAX);
    for id in view.writes.keys() {
        let versions = view.versions(*id, from, to);
        let ours = |found: &Subscription| found.tenant == event.tenant;
        let mut wanting = versions
            .iter()
            .map(|version| version.is_some_and(|version| ours(version) && wants(version, event)));
        let must = !versions.is_empty()
            && wanting.clone().all(|wants| wants)
            && !view.may_be_missing(*id, from);
        let may = wanting.any(|wants| wants) || is_replayed(view, *id);
        if must && !got.contains(id) {
            found.push(format!(
                "{} ({}) has no delivery to {id}",
                event.id, event.event_type
            ));
        }
        if !may && got.contains(id) {
            found.push(format!(
                "{} ({}) has a delivery to {id}",
                event.id, event.event_type
            ));
        }
    }
}

fn is_replayed(view: &View<'_>, id: SubscriptionId) -> bool {
    let mut changes = view.history.changes.iter();
    changes
        .any(|call| matches!(call.what, Change::Replay(to) if to == id) && call.may_have_worked())
}

/// Whether an active subscription wants an event, as its owner would say.
fn wants(subscription: &Subscription, event: &Event) -> bool {
    let event_type = event.event_type.as_str();
    let named = subscription.spec.events.as_slice().iter().any(|pattern| {
        let pattern = pattern.to_string();
        match pattern.strip_suffix('*') {
            Some("") => !event_type.starts_with("postrider."),
            Some(prefix) => event_type.starts_with(prefix),
            None => event_type == pattern,
        }
    });
    subscription.state == State::Active
        && named
        && (subscription.spec.filter.is_none() || is_large(event))
}

/// What the one filter that is used asks for.
fn is_large(event: &Event) -> bool {
    let data: Option<serde_json::Value> = serde_json::from_slice(&event.payload.data).ok();
    data.and_then(|data| data["size"].as_u64())
        .is_some_and(|size| size > 4)
}
