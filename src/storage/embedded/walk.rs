//! Walks over events and deliveries, from day to day.

use super::{
    day::{Day, from_kv},
    key,
    kv::{Bounds, Order, Step},
    piece,
    row::{DeliveryRow, EventRow},
    state::State,
};
use crate::{
    domain::{DeliveryFilter, DeliveryId, EventId, SubscriptionId, TenantId, TimeRange},
    storage::{
        Result,
        walk::{CHUNK, Pace, Place, first_id, ids, number},
    },
};

/// What it costs to open a day, in rows.
const OPENING: usize = 1_000;

/// A walk through a tenant's events or deliveries.
pub(super) struct Walk<'a> {
    state: &'a State,
    tenant: &'a TenantId,
    /// The ids within, both ends included.
    oldest: u128,
    newest: u128,
    /// Only deliveries of this subscription.
    subscription: Option<SubscriptionId>,
    /// The days still to be read, newest last; and where to read on.
    days: Vec<Day>,
    next: u128,
    /// What was read and not shown yet, newest last.
    events: Vec<EventRow>,
    deliveries: Vec<DeliveryRow>,
    places: Vec<(DeliveryId, SubscriptionId)>,
    pace: Pace,
}

impl<'a> Walk<'a> {
    /// From a place, through what was accepted within the range.
    pub(super) fn new(
        state: &'a State,
        tenant: &'a TenantId,
        range: TimeRange,
        from: Option<Place>,
    ) -> Result<Self> {
        let (oldest, newest) = ids(range, from);
        let (first, last) = (day_of(oldest), day_of(newest));
        let mut days = state.days.all()?;
        days.retain(|day| (first..=last).contains(day) && oldest <= newest);
        Ok(Self {
            state,
            tenant,
            oldest,
            newest,
            subscription: None,
            days,
            next: newest,
            events: Vec::new(),
            deliveries: Vec::new(),
            places: Vec::new(),
            pace: Pace::default(),
        })
    }

    /// The same through what the ids of a filter choose, by the shortest way.
    pub(super) fn filtered(
        state: &'a State,
        tenant: &'a TenantId,
        filter: &DeliveryFilter,
        from: Option<Place>,
    ) -> Result<Self> {
        let mut walk = Self::new(state, tenant, filter.accepted, from)?;
        let of_delivery = filter.delivery_id.map(DeliveryId::event_id);
        if let Some(event) = filter.event_id.or(of_delivery) {
            walk.days.clear();
            if let Some(row) = state.event_row(tenant, event)? {
                walk.expand(&row);
            }
        } else {
            walk.subscription = filter.subscription_id;
        }
        Ok(walk)
    }

    /// Whether enough was looked at for one page.
    pub(super) fn is_spent(&self) -> bool {
        self.pace.is_spent()
    }

    /// Counts a row that was looked at on the way.
    pub(super) fn look(&mut self) {
        self.pace.look(1);
    }

    /// Where to go on if this walk showed no more because it is spent.
    pub(super) fn rest(&self) -> Option<Place> {
        self.place().filter(|_| self.is_spent())
    }

    /// Where to go on after what was shown last; none at the end.
    pub(super) fn place(&self) -> Option<Place> {
        let read = [
            self.events.is_empty(),
            self.deliveries.is_empty(),
            self.places.is_empty(),
        ];
        let next = self.days.last().map(|newest| {
            let end = first_id(newest.next().start()).saturating_sub(1);
            self.next.min(end)
        });
        self.pace.place(read == [true; 3], next)
    }

    /// The next event; none at the end and when the walk is spent.
    pub(super) fn next_event(&mut self) -> Result<Option<EventRow>> {
        while self.events.is_empty() && !self.is_spent() {
            let Some(day) = self.days.last().copied() else {
                return Ok(None);
            };
            let first = EventId::from_bytes(self.oldest.to_be_bytes());
            let last = DeliveryId::from_bytes(self.next.to_be_bytes()).event_id();
            for (key, row) in self.chunk(day, key::events(self.tenant, first, last))? {
                let malformed = || piece::malformed(&key);
                let id = key::event_of(&key).ok_or_else(malformed)?;
                let row = self.state.join(day, &key, &row)?;
                let row = EventRow::read(self.tenant.clone(), id, &row).map_err(|_| malformed())?;
                self.passed(number_of(id));
                self.events.push(row);
            }
            self.events.reverse();
        }
        let event = self.events.pop();
        if let Some(row) = &event {
            self.pace.show(number_of(row.event.id));
        }
        Ok(event)
    }

    /// The next delivery; none at the end and when the walk is spent.
    pub(super) fn next_delivery(&mut self) -> Result<Option<DeliveryRow>> {
        let row = match self.subscription {
            Some(subscription) => self.next_of_subscription(subscription)?,
            None => self.next_of_events()?,
        };
        if let Some(row) = &row {
            self.pace.show(number(row.delivery.id));
        }
        Ok(row)
    }

    fn next_of_subscription(&mut self, id: SubscriptionId) -> Result<Option<DeliveryRow>> {
        while self.deliveries.is_empty() && !self.is_spent() {
            let Some(day) = self.days.last().copied() else {
                return Ok(None);
            };
            let first = DeliveryId::from_bytes(self.oldest.to_be_bytes());
            let last = DeliveryId::from_bytes(self.next.to_be_bytes());
            for (key, row) in self.chunk(day, key::deliveries(id, first, last))? {
                let malformed = || piece::malformed(&key);
                let delivery = key::delivery_of(&key).ok_or_else(malformed)?;
                let row = DeliveryRow::read(id, delivery, &row).map_err(|_| malformed())?;
                if row.tenant != *self.tenant {
                    // So are all of them.
                    self.days.clear();
                    return Ok(None);
                }
                self.passed(number(delivery));
                self.deliveries.push(row);
            }
            self.deliveries.reverse();
        }
        Ok(self.deliveries.pop())
    }

    fn next_of_events(&mut self) -> Result<Option<DeliveryRow>> {
        loop {
            while let Some((id, subscription)) = self.places.pop() {
                if let Some(row) = self.state.delivery_row(subscription, id)? {
                    return Ok(Some(row));
                }
            }
            let Some(event) = self.next_event()? else {
                return Ok(None);
            };
            self.expand(&event);
        }
    }

    /// Queues an event's deliveries.
    fn expand(&mut self, row: &EventRow) {
        let deliveries = row.event.id.deliveries(&row.subscriptions);
        let within = self.oldest..=self.newest;
        self.places
            .extend(deliveries.filter(|(id, _)| within.contains(&number(*id))));
    }

    /// Reads on within a day; forgets the day when there is no more of it.
    fn chunk(&mut self, day: Day, bounds: Bounds) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = Vec::new();
        if !self.state.days.is_open(day) {
            self.pace.look(OPENING);
        }
        if let Some(partition) = self.state.days.get(day)? {
            partition
                .scan(bounds, Order::Backwards, &mut |key, row| {
                    rows.push((key.to_vec(), row.to_vec()));
                    if rows.len() < CHUNK {
                        Step::Continue(())
                    } else {
                        Step::Break(())
                    }
                })
                .map_err(from_kv)?;
        }
        if rows.len() < CHUNK {
            self.days.pop();
        }
        Ok(rows)
    }

    /// Reads on before this id.
    fn passed(&mut self, id: u128) {
        match id.checked_sub(1) {
            Some(next) => self.next = next,
            None => self.days.clear(),
        }
    }
}

fn number_of(id: EventId) -> u128 {
    u128::from_be_bytes(id.to_bytes())
}

fn day_of(id: u128) -> Day {
    Day::of_event(EventId::from_bytes(id.to_be_bytes()))
}
