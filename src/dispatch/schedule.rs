//! Which delivery is sent next. Pure data: it is told what happened and the
//! time, and says what to start and what to read.
//!
//! A lane for each subscription holds a window of its queue. Lanes whose first
//! delivery is due take turns, one attempt each, so that no backlog keeps
//! another subscription waiting.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Endpoint, Settings, breaker,
    ended::Ended,
    fetch::{Fetch, FetchOutcome, Fetched, MAX_FETCHES, Range},
    lane::{Fetching, Lane, Place},
    turns::Turns,
    window::{self, Fresh, Window},
};
use crate::{
    domain::{DeliveryId, SubscriptionId, Timestamp, Trigger},
    storage::{Due, DueKey, FreshEvent, Rescheduled},
};

/// Lanes kept though nothing waits in them, for their endpoints.
const MAX_LANES: usize = 16 * 1_024;
/// How long a lane rests after the store failed it.
const PAUSE: Duration = Duration::from_secs(1);

/// An attempt to make.
pub(super) struct Start {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) key: DueKey,
    /// The event, if it is in memory.
    pub(super) fresh: Option<Fresh>,
}

/// Whether the queue of a subscription is this process's.
pub(super) type Owns = Box<dyn Fn(SubscriptionId) -> bool + Send>;

pub(super) struct Schedule {
    settings: Settings,
    owns: Owns,
    lanes: HashMap<SubscriptionId, Lane>,
    waiting: BTreeSet<(Timestamp, SubscriptionId)>,
    turns: Turns,
    fetches: VecDeque<SubscriptionId>,
    fetching: usize,
    entries: usize,
    bytes: usize,
    now: Timestamp,
    /// Since when it hears of all that the queues it owns are sent.
    heard_since: Timestamp,
    /// Set while subscriptions without a lane may have deliveries waiting.
    scanning: bool,
    max_lanes: usize,
}

impl Schedule {
    /// An empty schedule, before the store was scanned.
    pub(super) fn new(settings: Settings, owns: Owns) -> Self {
        Self {
            turns: Turns::new(settings.max_in_flight),
            settings,
            owns,
            lanes: HashMap::new(),
            waiting: BTreeSet::new(),
            fetches: VecDeque::new(),
            fetching: 0,
            entries: 0,
            bytes: 0,
            now: Timestamp::MIN,
            heard_since: Timestamp::MAX,
            scanning: true,
            max_lanes: MAX_LANES,
        }
    }

    /// Moves on to a time.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = now;
        self.heard_since = self.heard_since.min(now);
        while let Some((time, id)) = self.waiting.first().copied()
            && time <= now
        {
            self.waiting.pop_first();
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.place = Place::None;
                self.with_lane(id, |lane| lane.look(now));
            }
        }
    }

    /// When [`Self::advance`] has something to do again.
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(time, _)| *time)
    }

    /// Starts the next attempt that can start now.
    pub(super) fn next_start(&mut self) -> Option<Start> {
        while let Some((id, share)) = self.turns.pop() {
            let now = self.now;
            let Some(lane) = self.lanes.get_mut(&id) else {
                continue;
            };
            lane.place = Place::None;
            let due = lane.next_start().is_some_and(|time| time <= now);
            // A lane that has its share is placed again when one of its
            // attempts ends.
            if due && lane.in_flight() >= share {
                continue;
            }
            let mut start = None;
            self.with_lane(id, |lane| {
                lane.look(now);
                if due && let Some(endpoint) = lane.endpoint.clone() {
                    start = lane.start(now).map(|(key, fresh)| Start {
                        endpoint,
                        key,
                        fresh,
                    });
                }
            });
            if let Some(start) = start {
                self.turns.started(&start.endpoint.subscription().tenant);
                return Some(start);
            }
        }
        None
    }

    /// Begins the next read that is wanted.
    pub(super) fn next_fetch(&mut self) -> Option<Fetch> {
        while self.fetching < MAX_FETCHES {
            let subscription = self.fetches.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&subscription) else {
                continue;
            };
            let cap = self.settings.window_beside(self.entries - lane.len());
            lane.fetching = Fetching::UnderWay;
            self.fetching += 1;
            let queue = lane.window.wants_reading() && !lane.is_held();
            return Some(Fetch {
                subscription,
                endpoint: lane.endpoint.is_none(),
                queue: queue.then(|| Range {
                    after: lane.window.begin_read(),
                    limit: cap.saturating_sub(lane.window.len()).max(1),
                }),
            });
        }
        None
    }

    /// Takes in what a read found.
    pub(super) fn fetched(&mut self, fetched: Fetched) {
        self.fetching -= 1;
        let (heard_since, now) = (self.heard_since, self.now);
        self.with_lane(fetched.subscription, |lane| {
            lane.fetching = Fetching::Idle;
            if std::mem::take(&mut lane.outdated) {
                return lane.end_read(None);
            }
            lane.end_read(fetched.page);
            match fetched.outcome {
                FetchOutcome::Done => {}
                FetchOutcome::Deleted => lane.deleted = true,
                FetchOutcome::Failed => lane.paused_until = now.after(PAUSE),
            }
            if let Some(endpoint) = fetched.endpoint {
                lane.set_endpoint(endpoint, heard_since, now);
            }
            if lane.is_held() {
                lane.forget_queue();
            }
        });
    }

    /// Takes in an event that was accepted.
    pub(super) fn accepted(&mut self, fresh: &FreshEvent) {
        for (delivery_id, subscription) in &fresh.deliveries {
            let key = DueKey {
                due: fresh.due,
                delivery_id: *delivery_id,
            };
            let held = fresh.event.clone().map(|event| Fresh {
                event,
                trigger: fresh.trigger,
            });
            let room = self.settings.max_waiting_bytes.saturating_sub(self.bytes);
            let held = held.filter(|fresh| window::size(fresh) <= room);
            self.ensure(*subscription);
            self.with_lane(*subscription, |lane| {
                lane.accepted(key, held);
                if fresh.trigger == Trigger::Test {
                    lane.probe();
                }
            });
        }
    }

    /// Takes in a change made by hand or by a replay.
    pub(super) fn rescheduled(&mut self, change: &Rescheduled) {
        let now = self.now;
        self.ensure(change.subscription_id);
        self.with_lane(change.subscription_id, |lane| {
            lane.moved(change.delivery_id, change.due, now);
            if change.due.is_some() && change.trigger == Trigger::Manual {
                lane.probe();
            }
        });
    }

    /// Takes in that others may have added to a queue.
    pub(super) fn woken(&mut self, due: &Due) {
        let now = self.now;
        self.ensure(due.subscription_id);
        self.with_lane(due.subscription_id, |lane| lane.woken(due.first, now));
    }

    /// Takes in that other queues are this process's now, or that the store is
    /// back. A scan has to follow, for queues that became so.
    pub(super) fn own(&mut self) {
        self.scanning = true;
        self.heard_since = self.now;
        let now = self.now;
        for id in self.known() {
            let disowned = !(self.owns)(id);
            self.with_lane(id, |lane| lane.set_disowned(disowned, now));
        }
    }

    /// Takes in what came of an attempt, and says what that does to the breaker.
    pub(super) fn ended(
        &mut self,
        subscription: SubscriptionId,
        id: DeliveryId,
        ended: Ended,
    ) -> Option<breaker::Change> {
        let now = self.now;
        let lane = self.lanes.get(&subscription);
        let tenant = lane.and_then(|lane| lane.tenant.clone());
        let mut change = None;
        self.with_lane(subscription, |lane| {
            change = lane.ended(id, ended, now);
            if ended == Ended::Unchanged {
                lane.paused_until = now.after(PAUSE);
            }
        });
        if let Some(tenant) = tenant {
            self.turns.ended(&tenant);
        }
        change
    }

    /// Takes in a subscription as it is now. Its queue is read unless it was
    /// known to be active before: a disabled one has a queue that nobody knows.
    pub(super) fn changed(&mut self, endpoint: Arc<Endpoint>) {
        let id = endpoint.subscription().id;
        let (heard_since, now) = (self.heard_since, self.now);
        self.ensure_with(id, || Lane::new(Window::of_unknown()));
        self.with_lane(id, |lane| {
            let before = lane.endpoint.as_ref().map(|known| known.subscription());
            let version = endpoint.subscription().version;
            let followed = before.is_some_and(|before| before.version < version);
            let followed = followed && !lane.is_held();
            lane.set_endpoint(endpoint, heard_since, now);
            if !followed || lane.is_held() {
                lane.forget_queue();
            }
        });
    }

    /// Takes in that a subscription was deleted.
    pub(super) fn deleted(&mut self, id: SubscriptionId) {
        self.with_lane(id, |lane| {
            lane.deleted = true;
            lane.forget_queue();
        });
    }

    /// Takes in that a scan found deliveries waiting.
    pub(super) fn found(&mut self, id: SubscriptionId) {
        self.ensure(id);
        self.with_lane(id, |_| {});
    }

    /// Takes in that the scan is complete.
    pub(super) fn scanned(&mut self) {
        self.scanning = false;
    }

    /// Drops what is known of queues and endpoints, because hints were lost. A
    /// scan has to follow.
    pub(super) fn forget(&mut self) {
        self.scanning = true;
        for id in self.known() {
            self.with_lane(id, Lane::forget);
        }
    }

    /// The subscriptions that have a lane, in an order that is not chance.
    fn known(&self) -> BTreeSet<SubscriptionId> {
        self.lanes.keys().copied().collect()
    }

    fn ensure(&mut self, id: SubscriptionId) {
        let now = self.now;
        if self.scanning {
            self.ensure_with(id, || Lane::adopted(Window::of_unknown(), now));
        } else {
            self.ensure_with(id, || Lane::new(Window::of_empty()));
        }
    }

    fn ensure_with(&mut self, id: SubscriptionId, lane: impl FnOnce() -> Lane) {
        let owns = &self.owns;
        self.lanes
            .entry(id)
            .or_insert_with(|| if owns(id) { lane() } else { Lane::disowned() });
    }

    /// The one place where lanes change: keeps the sums, the bounds and the
    /// order of turns true.
    fn with_lane(&mut self, id: SubscriptionId, change: impl FnOnce(&mut Lane)) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        self.entries -= lane.len();
        self.bytes -= lane.window.bytes();
        lane.hold_back(self.settings.held_back(self.entries));
        change(lane);
        lane.window
            .shrink_to(self.settings.window_beside(self.entries));
        self.entries += lane.len();
        self.bytes += lane.window.bytes();
        self.arrange(id);
    }

    fn arrange(&mut self, id: SubscriptionId) {
        let crowded = self.lanes.len() > self.max_lanes;
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        let times = [lane.next_start(), lane.next_look()];
        let mut time = times.into_iter().flatten().min();
        let low = self.settings.window_beside(self.entries - lane.len()) / 4;
        if lane.wants_fetch(low) {
            if lane.paused_until <= self.now {
                lane.fetching = Fetching::Queued;
                self.fetches.push_back(id);
            } else {
                time = Some(lane.paused_until);
            }
        }
        if lane.place == Place::Ready {
            // Looked at anew when its turn comes.
            return;
        }
        if let Place::Waiting(old) = lane.place {
            self.waiting.remove(&(old, id));
        }
        lane.place = match time {
            None => Place::None,
            Some(time) if time <= self.now => {
                if let Some(tenant) = &lane.tenant {
                    self.turns.push(tenant, id);
                }
                Place::Ready
            }
            Some(time) => {
                self.waiting.insert((time, id));
                Place::Waiting(time)
            }
        };
        let useless = lane.deleted || lane.disowned || crowded && lane.is_rested(self.now);
        if lane.place == Place::None && lane.is_idle() && useless {
            self.lanes.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
