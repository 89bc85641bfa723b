//! The history by what its facts are about.

use std::{collections::BTreeMap, sync::Arc};

use postrider::domain::{
    Attempt, Delivery, DeliveryId, Erasure, Event, EventId, Subscription, SubscriptionId, Trigger,
};

use crate::simulation::{
    clock::Moment,
    history::{Answer, Call, Change, History, Request, Written},
};

/// A request and what is known of its attempt.
pub struct Seen<'a> {
    pub request: &'a Request,
    pub subscription: SubscriptionId,
    pub delivery: DeliveryId,
    /// When the attempt began, before what it needs was read.
    pub started: Moment,
    /// The attempt in the log.
    pub logged: Option<&'a Arc<Attempt>>,
    /// The last call that was to record it.
    pub recorded: Option<&'a Call<(DeliveryId, u32)>>,
}

impl Seen<'_> {
    pub fn answer(&self) -> Option<&Answer> {
        self.request.answered.as_ref().map(|(_, answer)| answer)
    }

    pub fn ended(&self) -> Option<Moment> {
        self.request.answered.as_ref().map(|(moment, _)| *moment)
    }

    /// For people.
    pub fn name(&self) -> String {
        let Request { number, begin, .. } = self.request;
        format!(
            "attempt {number} of {} at {} (life {}, {:.3} s)",
            self.delivery,
            self.request.url,
            begin.life,
            seconds(begin.truth)
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is for people")]
pub fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

pub struct View<'a> {
    pub history: &'a History,
    /// Writes of each subscription that may have worked, in the order in which
    /// they began.
    pub writes: BTreeMap<SubscriptionId, Vec<&'a Call<Written>>>,
    pub events: BTreeMap<EventId, &'a Event>,
    /// Events as they were before anything was erased.
    pub whole: BTreeMap<EventId, &'a Arc<Event>>,
    pub triggers: BTreeMap<EventId, Trigger>,
    pub deliveries: BTreeMap<DeliveryId, &'a Delivery>,
    /// Requests in the order in which they began.
    pub seen: Vec<Seen<'a>>,
    /// Those of each delivery, by their place among them.
    pub of_delivery: BTreeMap<DeliveryId, Vec<usize>>,
    /// Those of each subscription.
    pub of_subscription: BTreeMap<SubscriptionId, Vec<usize>>,
    /// The log of each delivery.
    pub log: BTreeMap<DeliveryId, Vec<&'a Arc<Attempt>>>,
}

impl<'a> View<'a> {
    pub fn new(history: &'a History, found: &mut Vec<String>) -> Self {
        let mut view = Self {
            history,
            writes: BTreeMap::new(),
            events: history
                .end
                .events
                .iter()
                .map(|event| (event.id, event))
                .collect(),
            whole: BTreeMap::new(),
            triggers: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            seen: Vec::new(),
            of_delivery: BTreeMap::new(),
            of_subscription: BTreeMap::new(),
            log: BTreeMap::new(),
        };
        for call in history
            .subscriptions
            .iter()
            .filter(|call| call.may_have_worked())
        {
            view.writes.entry(call.what.id).or_default().push(call);
        }
        for stored in history.stored.iter().flat_map(|call| &call.what) {
            view.triggers.insert(stored.event.id, stored.trigger);
            view.whole.insert(stored.event.id, &stored.event);
        }
        for attempt in &history.end.log {
            view.log
                .entry(attempt.delivery_id)
                .or_default()
                .push(attempt);
        }
        let mut places = BTreeMap::new();
        for delivery in &history.end.deliveries {
            let place = (delivery.id.event_id(), delivery.subscription_id);
            if places.insert(place, delivery.id).is_some() {
                found.push(format!("{place:?} has two deliveries"));
            }
            view.deliveries.insert(delivery.id, delivery);
        }
        view.see(&places, found);
        view
    }

    fn see(
        &mut self,
        places: &BTreeMap<(EventId, SubscriptionId), DeliveryId>,
        found: &mut Vec<String>,
    ) {
        let history = self.history;
        let mut hosts = BTreeMap::new();
        for (id, writes) in &self.writes {
            for spec in writes
                .iter()
                .filter_map(|call| Some(&call.what.now.as_ref()?.spec))
            {
                hosts.insert(spec.url.as_url().host_str().unwrap(), *id);
            }
        }
        let mut started: BTreeMap<DeliveryId, Vec<Moment>> = BTreeMap::new();
        for start in &history.started {
            started.entry(start.delivery).or_default().push(start.at);
        }
        let mut recorded: BTreeMap<(DeliveryId, u32), Vec<&Call<_>>> = BTreeMap::new();
        for call in &history.recorded {
            recorded.entry(call.what).or_default().push(call);
        }
        for request in &history.requests {
            let host = request.url.split('/').nth(2).unwrap();
            let subscription = hosts.get(host).copied();
            let delivery = subscription.and_then(|id| places.get(&(request.event, id)));
            let (Some(subscription), Some(delivery)) = (subscription, delivery.copied()) else {
                found.push(format!(
                    "{} got {}, which has no delivery to it",
                    request.url, request.event
                ));
                continue;
            };
            let begin = request.begin;
            let starts = started.get(&delivery).into_iter().flatten().rev();
            let mut starts = starts.filter(|at| at.life == begin.life && at.truth <= begin.truth);
            let logged = self.log.get(&delivery).into_iter().flatten();
            let mut logged = logged.filter(|attempt| {
                attempt.number == request.number && attempt.start_time == begin.wall
            });
            let calls = recorded
                .get(&(delivery, request.number))
                .into_iter()
                .flatten();
            let ended = request.answered.as_ref().map(|(moment, _)| moment.truth);
            let calls = calls.filter(|call| {
                call.begin.life == begin.life && ended.is_some_and(|at| at <= call.begin.truth)
            });
            let at = self.seen.len();
            self.seen.push(Seen {
                request,
                subscription,
                delivery,
                started: starts.next().copied().unwrap_or(begin),
                logged: logged.next().copied(),
                recorded: calls
                    .max_by_key(|call| (call.is_done(), call.begin.truth))
                    .copied(),
            });
            self.of_delivery.entry(delivery).or_default().push(at);
            self.of_subscription
                .entry(subscription)
                .or_default()
                .push(at);
        }
    }

    pub fn requests_of(&self, delivery: DeliveryId) -> impl DoubleEndedIterator<Item = &Seen<'a>> {
        let places = self.of_delivery.get(&delivery).into_iter().flatten();
        places.map(|at| &self.seen[*at])
    }

    /// What a subscription may have been at some time from one to another; `None`
    /// is deleted. Empty before it was created.
    pub fn versions(
        &self,
        id: SubscriptionId,
        from: u64,
        to: u64,
    ) -> Vec<Option<&'a Arc<Subscription>>> {
        let writes = self.writes.get(&id).map(Vec::as_slice).unwrap_or_default();
        let deleted = writes
            .iter()
            .any(|call| call.what.now.is_none() && call.is_done_before(from));
        if deleted {
            return vec![None];
        }
        let last = writes.iter().rposition(|call| call.is_done_before(from));
        let possible = writes
            .iter()
            .enumerate()
            .filter(|(at, call)| call.begin.truth <= to && last.is_none_or(|last| *at >= last));
        possible.map(|(_, call)| call.what.now.as_ref()).collect()
    }

    /// Whether it was not there yet at a time, for all that is known.
    pub fn may_be_missing(&self, id: SubscriptionId, from: u64) -> bool {
        let writes = self.writes.get(&id).into_iter().flatten();
        !writes.into_iter().any(|call| call.is_done_before(from))
    }

    /// Whether the wall clock was set in a stretch of time.
    pub fn jumps(&self, from: u64, to: u64) -> bool {
        let mut jumps = self.history.jumps.iter();
        jumps.any(|jump| (from..=to).contains(&jump.truth))
    }

    pub fn life_end(&self, life: u32) -> u64 {
        let lives = self.history.lives.iter();
        let mut ends = lives.filter(|(_, moment, _)| moment.life == life);
        ends.next().map_or(u64::MAX, |(_, moment, _)| moment.truth)
    }

    /// When a call had its effect at the latest.
    pub fn latest<T>(&self, call: &Call<T>) -> u64 {
        call.latest().min(self.life_end(call.begin.life))
    }

    /// Whether a delivery may have been begun anew by hand or by a replay in a
    /// stretch of time.
    pub fn may_begin_anew(&self, delivery: DeliveryId, from: u64, to: u64) -> bool {
        let subscription = self.deliveries[&delivery].subscription_id;
        let changes = self.history.changes.iter();
        let mut changes = changes.filter(|call| call.may_have_worked() && call.begin.truth <= to);
        changes.any(|call| match &call.what {
            Change::Retry(id) => *id == delivery && self.latest(call) >= from,
            // It goes on in the background.
            Change::Replay(id) => *id == subscription,
            _ => false,
        })
    }

    /// Whether a delivery may have been changed by anything but its attempts.
    pub fn may_be_changed(&self, delivery: DeliveryId, from: u64, to: u64) -> bool {
        self.may_begin_anew(delivery, from, to)
            || self.may_be_cancelled(delivery, to, |latest| latest >= from)
    }

    /// Whether a delivery may have been cancelled by a time, by something that had
    /// its effect when `latest` says so.
    pub fn may_be_cancelled(
        &self,
        delivery: DeliveryId,
        to: u64,
        latest: impl Fn(u64) -> bool,
    ) -> bool {
        let subscription = self.deliveries[&delivery].subscription_id;
        let changes = self.history.changes.iter();
        let mut changes = changes.filter(|call| call.may_have_worked() && call.begin.truth <= to);
        let by_hand = changes.any(|call| {
            let about = match &call.what {
                Change::Cancel(id) => *id == delivery,
                Change::Erase(Erasure::Event(event)) => *event == delivery.event_id(),
                Change::Erase(Erasure::Subscription(id)) => *id == subscription,
                Change::Erase(..) => true,
                _ => false,
            };
            about && latest(self.latest(call))
        });
        let writes = self.writes.get(&subscription).into_iter().flatten();
        let mut deletions = writes.filter(|call| call.what.now.is_none());
        // What waits for a deleted one is cancelled later.
        by_hand || deletions.any(|call| call.begin.truth <= to)
    }
}
