//! One subscription's deliveries, waiting and under way.

use std::{collections::HashMap, sync::Arc};

use super::{
    Endpoint,
    breaker::{self, Breaker},
    ended::Ended,
    order::Order,
    window::{Fresh, Window},
};
use crate::{
    domain::{DeliveryId, Pace, RateLimit, State, TenantId, Timestamp},
    storage::{DueKey, DuePage},
};

/// Where a lane stands in the order of turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: something has to happen to it first.
    None,
    /// Among the lanes that wait for a time.
    Waiting(Timestamp),
    /// Among the lanes whose turn comes.
    Ready,
}

/// What is to be read of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetching {
    Idle,
    Queued,
    UnderWay,
}

/// Whether a delivery was changed by hand while an attempt was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    No,
    To(Timestamp),
    Away,
}

/// An attempt under way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    /// The place the delivery had.
    key: DueKey,
    started: Timestamp,
    moved: Moved,
}

pub(super) struct Lane {
    pub(super) window: Window,
    order: Order,
    breaker: Breaker,
    /// Known once it has a rate limit.
    pace: Option<Pace>,
    /// Unknown until it is read.
    pub(super) endpoint: Option<Arc<Endpoint>>,
    /// Known since the endpoint was first.
    pub(super) tenant: Option<TenantId>,
    pub(super) deleted: bool,
    /// Another process owns the queue.
    pub(super) disowned: bool,
    /// Nothing is started or read before this time.
    pub(super) paused_until: Timestamp,
    pub(super) place: Place,
    pub(super) fetching: Fetching,
    /// Set if the read under way began before hints were lost.
    pub(super) outdated: bool,
    flights: HashMap<DeliveryId, Flight>,
}

impl Lane {
    /// One that holds nothing back for its order until it is told how much.
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            order: Order::new(0),
            breaker: Breaker::new(),
            pace: None,
            endpoint: None,
            tenant: None,
            deleted: false,
            disowned: false,
            paused_until: Timestamp::MIN,
            place: Place::None,
            fetching: Fetching::Idle,
            outdated: false,
            flights: HashMap::new(),
        }
    }

    /// One whose queue was there before, with whatever failed in it.
    pub(super) fn adopted(window: Window, now: Timestamp) -> Self {
        Self {
            breaker: Breaker::untried(now),
            ..Self::new(window)
        }
    }

    /// The lane of a queue that is another process's: it knows nothing of it.
    pub(super) fn disowned() -> Self {
        Self {
            disowned: true,
            ..Self::new(Window::of_unknown())
        }
    }

    /// Takes in a subscription, unless a newer version of it is known. What it
    /// was sent is known if it was created after `heard_since`.
    pub(super) fn set_endpoint(
        &mut self,
        endpoint: Arc<Endpoint>,
        heard_since: Timestamp,
        now: Timestamp,
    ) {
        let subscription = endpoint.subscription();
        let known = self.endpoint.as_ref().map(|known| known.subscription());
        if known.is_some_and(|known| known.version > subscription.version) {
            return;
        }
        if let Some(limit) = subscription.spec.rate_limit {
            let fresh = known.is_none() && subscription.create_time > heard_since;
            self.pace.get_or_insert_with(|| {
                if fresh {
                    Pace::fresh()
                } else {
                    Pace::unknown(limit, now)
                }
            });
        }
        self.tenant = Some(subscription.tenant.clone());
        self.endpoint = Some(endpoint);
    }

    /// Takes in whether the queue is another process's, and ends a rest.
    pub(super) fn set_disowned(&mut self, disowned: bool, now: Timestamp) {
        self.paused_until = Timestamp::MIN;
        if self.disowned != disowned {
            self.disowned = disowned;
            self.breaker = Breaker::untried(now);
            self.pace = None;
            self.forget();
        }
    }

    /// Bounds the deliveries that it holds back for their order.
    pub(super) fn hold_back(&mut self, most: usize) {
        self.order.most = most;
    }

    /// Deliveries it holds.
    pub(super) fn len(&self) -> usize {
        self.window.len() + self.order.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Whether deliveries are held back: the subscription is disabled or gone,
    /// or another process's.
    pub(super) fn is_held(&self) -> bool {
        self.deleted
            || self.disowned
            || self
                .endpoint
                .as_ref()
                .is_some_and(|endpoint| endpoint.subscription().state == State::Disabled)
    }

    /// Whether nothing is lost when the lane is dropped.
    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty()
            && self.fetching == Fetching::Idle
            && (self.is_held() || !self.window.wants_reading() && self.len() == 0)
    }

    /// Whether its rate limit allows what it would allow a new lane.
    pub(super) fn is_rested(&self, now: Timestamp) -> bool {
        self.pace.is_none_or(|pace| pace.is_over(now))
    }

    /// Whether the endpoint or more of the queue is to be read.
    pub(super) fn wants_fetch(&self, low: usize) -> bool {
        let runs_low = self.window.wants_reading() && self.window.len() <= low;
        self.fetching == Fetching::Idle
            && !self.deleted
            && !self.disowned
            && (self.endpoint.is_none()
                || (runs_low || self.window.is_outdated()) && !self.is_held())
    }

    /// When the next attempt can start, if nothing ends before.
    pub(super) fn next_start(&self) -> Option<Timestamp> {
        let endpoint = self.endpoint.as_ref()?;
        let first = self.first()?;
        let permits = endpoint.subscription().spec.max_in_flight.get() as usize;
        if self.is_held() || self.flights.len() >= permits {
            return None;
        }
        let trusted = self.breaker.next_start(self.flights.len())?;
        let paced = self.limit().zip(self.pace);
        let paced = paced.map_or(Timestamp::MIN, |(limit, pace)| pace.next_start(limit));
        Some(first.due.max(self.paused_until).max(trusted).max(paced))
    }

    /// The first delivery that may be started.
    fn first(&self) -> Option<DueKey> {
        if self.order.is_full() {
            return self.heads().min();
        }
        self.window.first()
    }

    /// Those that others wait for and nobody attempts.
    fn heads(&self) -> impl Iterator<Item = DueKey> {
        let heads = self.order.heads();
        heads.filter(|key| !self.flights.contains_key(&key.delivery_id))
    }

    /// When [`Self::look`] has something to do.
    pub(super) fn next_look(&self) -> Option<Timestamp> {
        self.order.next_look().filter(|_| !self.is_held())
    }

    /// Lets those go and ask who were held back for long.
    pub(super) fn look(&mut self, now: Timestamp) {
        while let Some(next) = self.order.look(now) {
            self.window.insert(next, None);
        }
    }

    fn limit(&self) -> Option<RateLimit> {
        self.endpoint.as_ref()?.subscription().spec.rate_limit
    }

    /// Takes the next delivery out of the window and on its way. A probe is the
    /// newest.
    pub(super) fn start(&mut self, now: Timestamp) -> Option<(DueKey, Option<Fresh>)> {
        let (key, fresh) = if self.order.is_full() {
            // The smallest id is the one that waits for no other.
            let due = self.heads().filter(|key| key.due <= now);
            let key = due.min_by_key(|key| key.delivery_id)?;
            (key, self.window.take_any(key.delivery_id))
        } else if self.is_ordered() {
            self.window.take_first()?
        } else if self.breaker.is_open() {
            self.window.take_newest(now)?
        } else {
            self.window.take_next(now)?
        };
        if let (Some(limit), Some(pace)) = (self.limit(), &mut self.pace) {
            pace.book(limit, 1, now);
        }
        let flight = Flight {
            key,
            started: now,
            moved: Moved::No,
        };
        self.flights.insert(key.delivery_id, flight);
        Some((key, fresh))
    }

    /// Puts a delivery that was accepted in the window; not if an attempt is
    /// under way, which then has overtaken the hint.
    pub(super) fn accepted(&mut self, key: DueKey, fresh: Option<Fresh>) {
        if !self.flights.contains_key(&key.delivery_id) && !self.is_held() {
            self.window.insert_fresh(key, fresh);
        }
    }

    /// Lets an attempt through although the breaker is open.
    pub(super) fn probe(&mut self) {
        self.breaker.probe();
    }

    /// Takes in that this delivery is the first in the queue which nobody
    /// attempts. If it is news there may be more of it.
    pub(super) fn woken(&mut self, first: DueKey, now: Timestamp) {
        let id = first.delivery_id;
        let known = self.flights.contains_key(&id) || self.window.holds(id) || self.order.holds(id);
        if !known || self.window.is_complete() && self.order.hides(id, now) {
            self.window.outdate();
        }
    }

    /// Moves a delivery that was changed by hand.
    pub(super) fn moved(&mut self, id: DeliveryId, due: Option<Timestamp>, now: Timestamp) {
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.moved = due.map_or(Moved::Away, Moved::To);
            return;
        }
        self.order.remove(id);
        self.place(id, due, now);
    }

    /// Puts a delivery where it is due. If it is settled, the one behind it goes.
    fn place(&mut self, id: DeliveryId, due: Option<Timestamp>, now: Timestamp) {
        if let Some(due) = due {
            let delivery_id = id;
            self.window.insert(DueKey { due, delivery_id }, None);
            return self.order.moved(id, due);
        }
        self.window.remove(id);
        if self.is_ordered()
            && let Some(next) = self.order.settled(id, now)
        {
            self.window.insert(next, None);
        }
    }

    fn is_ordered(&self) -> bool {
        let endpoint = self.endpoint.as_ref();
        endpoint.is_some_and(|endpoint| endpoint.subscription().spec.ordered)
    }

    /// Takes in what came of an attempt, and says what that changes.
    pub(super) fn ended(
        &mut self,
        id: DeliveryId,
        ended: Ended,
        now: Timestamp,
    ) -> Option<breaker::Change> {
        let flight = self.flights.remove(&id);
        debug_assert!(flight.is_some(), "a lane outlives its attempts");
        let flight = flight?;
        let due = match (flight.moved, ended) {
            (Moved::No, Ended::Made { due, .. }) => due,
            (Moved::No, Ended::Unchanged) => Some(flight.key.due),
            (Moved::No, Ended::Behind(ahead)) => {
                self.not_made(flight.started);
                if self.order.was_settled(ahead.delivery_id, flight.started) {
                    self.window.insert(flight.key, None);
                } else if !self.is_held() {
                    self.order.hold(flight.key, ahead, now);
                }
                return None;
            }
            (Moved::No, Ended::DueAt(due)) | (Moved::To(due), _) => Some(due),
            (Moved::No, Ended::Settled) | (Moved::Away, _) => None,
        };
        self.place(id, due, now);
        match ended {
            Ended::Made { succeeded, .. } if succeeded => self.breaker.succeeded(now),
            Ended::Made { .. } => self.breaker.failed(id, now),
            Ended::Unchanged => None,
            Ended::Settled | Ended::DueAt(_) | Ended::Behind(_) => {
                self.not_made(flight.started);
                None
            }
        }
    }

    fn not_made(&mut self, started: Timestamp) {
        if let (Some(limit), Some(pace)) = (self.limit(), &mut self.pace) {
            pace.give_back(limit, started);
        }
    }

    /// Ends a read of the queue.
    pub(super) fn end_read(&mut self, page: Option<DuePage>) {
        let (flights, order) = (&mut self.flights, &self.order);
        self.window.end_read(page, |key| {
            let Some(flight) = flights.get_mut(&key.delivery_id) else {
                return order.holds(key.delivery_id);
            };
            // Its place is another one than that it started from, so it was
            // moved meanwhile, and the hint of that is late or lost.
            if flight.moved == Moved::No && flight.key != key {
                flight.moved = Moved::To(key.due);
            }
            true
        });
    }

    /// Drops what it knows of its queue.
    pub(super) fn forget_queue(&mut self) {
        self.window.forget();
        self.order.forget();
    }

    /// Drops what it knows of queue and endpoint, because hints were lost.
    pub(super) fn forget(&mut self) {
        self.forget_queue();
        self.endpoint = None;
        self.outdated = self.fetching == Fetching::UnderWay;
    }
}
