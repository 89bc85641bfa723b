//! What readers and the committer share: the partitions, and what is known in
//! memory beside them.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, watch};

use super::{
    day::{Day, Days, from_kv},
    home::Home,
    index::SubscriptionIndex,
    key,
    kv::Partition,
    piece,
    retain::Gone,
    rewrite::Rewrites,
    room::Reserve,
    row::{DeliveryRow, EventRow},
    tail::LogTail,
    untimed::Untimed,
};
use crate::{
    domain::{
        Clock, Delivery, DeliveryId, DeliveryState, Event, EventId, Keyring, SubscriptionId,
        TenantId,
    },
    storage::{
        CommitNumber, Copying, Error, Health, Hint, LogPosition, Resource, Result,
        SubscriptionChange, View,
    },
};

/// Everything of an open store but the way to write.
pub(super) struct State {
    pub(super) clock: Arc<dyn Clock>,
    /// What the directory says it holds.
    pub(super) format: String,
    /// What secrets are sealed by.
    pub(super) keyring: Keyring,
    pub(super) days: Days,
    /// None once the store is closed.
    pub(super) catalog: Mutex<Option<Arc<dyn Partition>>>,
    pub(super) subscriptions: RwLock<SubscriptionIndex>,
    pub(super) in_flight: Mutex<HashSet<DeliveryId>>,
    pub(super) tail: LogTail,
    pub(super) log_end: watch::Sender<LogPosition>,
    pub(super) health: watch::Sender<Health>,
    pub(super) hints: broadcast::Sender<Arc<Hint>>,
    /// Never changes: all queues are this process's.
    pub(super) ownership: watch::Sender<u64>,
    pub(super) changes: broadcast::Sender<SubscriptionChange>,
    /// The first day there ever was, if there was one.
    pub(super) first_day: Mutex<Option<Day>>,
    pub(super) reserve: Reserve,
    /// How often the disk was found full since it had room.
    pub(super) full_looks: AtomicU32,
    pub(super) home: Home,
    /// What retention removed.
    pub(super) gone: Mutex<Gone>,
    pub(super) untimed: Mutex<Untimed>,
    /// Days that something was taken out of, to be written anew.
    pub(super) rewrites: Arc<Rewrites>,
    /// A copy into this store that is not finished.
    pub(super) copying: Mutex<Option<Copying>>,
    /// The last commit that was announced.
    pub(super) announced: AtomicU64,
}

impl State {
    /// The last commit whose hint was sent.
    pub(super) fn announced(&self) -> CommitNumber {
        CommitNumber(self.announced.load(Ordering::Acquire))
    }

    /// Reads an event's row, which has no payload if that stands apart.
    pub(super) fn event_row(&self, tenant: &TenantId, id: EventId) -> Result<Option<EventRow>> {
        let Some(partition) = self.days.get(Day::of_event(id))? else {
            return Ok(None);
        };
        let key = key::event(tenant, id);
        let Some(row) = piece::get(&*partition, &key)? else {
            return Ok(None);
        };
        EventRow::read(tenant.clone(), id, &row)
            .map(Some)
            .map_err(|_| piece::malformed(&key))
    }

    /// The event of a row, as much of it as is wanted.
    pub(super) fn event_of(&self, row: EventRow, view: View) -> Result<Event> {
        if view == View::Basic {
            return Ok(row.basic());
        }
        let id = row.event.id;
        let body = if row.apart { self.body(id)? } else { None };
        if row.apart && body.is_none() {
            return self.erased_meanwhile(&row.event);
        }
        row.whole(body)
            .map_err(|_| piece::malformed(&key::body(id)))
    }

    fn body(&self, id: EventId) -> Result<Option<Bytes>> {
        let body = match self.days.get(Day::of_event(id))? {
            Some(partition) => piece::get(&*partition, &key::body(id))?,
            None => None,
        };
        Ok(body.map(Bytes::from))
    }

    /// An event whose payload is gone since its row was read.
    fn erased_meanwhile(&self, event: &Event) -> Result<Event> {
        let row = self.event_row(&event.tenant, event.id)?;
        row.map(|row| row.event)
            .filter(Event::is_erased)
            .ok_or_else(|| piece::malformed(&key::body(event.id)))
    }

    /// The whole value of a key whose `first` piece was read.
    pub(super) fn join(&self, day: Day, key: &[u8], first: &[u8]) -> Result<Vec<u8>> {
        match self.days.get(day)? {
            Some(partition) => piece::join(&*partition, key, first),
            None => Err(piece::malformed(key)),
        }
    }

    /// Reads a delivery.
    pub(super) fn delivery_row(
        &self,
        subscription: SubscriptionId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>> {
        let Some(partition) = self.days.get(Day::of_delivery(id))? else {
            return Ok(None);
        };
        let key = key::delivery(subscription, id);
        let Some(row) = partition.get(&key).map_err(from_kv)? else {
            return Ok(None);
        };
        DeliveryRow::read(subscription, id, &row)
            .map(Some)
            .map_err(|_| piece::malformed(&key))
    }

    /// Finds the subscription of a tenant's delivery by the row of its event.
    pub(super) fn subscription_of(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
    ) -> Result<SubscriptionId> {
        let row = self.event_row(tenant, id.event_id())?;
        row.and_then(|row| row.subscriptions.get(usize::from(id.ordinal())).copied())
            .ok_or(Error::NotFound(Resource::Delivery(id)))
    }

    /// The delivery as callers see it.
    pub(super) fn shown(&self, delivery: Delivery) -> Delivery {
        if delivery.state.is_settled() {
            return delivery;
        }
        let subscription = delivery.subscription_id;
        if self.subscriptions.read().find(subscription).is_none() {
            return Delivery {
                state: DeliveryState::Cancelled,
                due: None,
                ..delivery
            };
        }
        let state = if self.in_flight.lock().contains(&delivery.id) {
            DeliveryState::Delivering
        } else {
            delivery.state
        };
        Delivery { state, ..delivery }
    }

    /// The catalog, for those who read it from the disk.
    pub(super) fn catalog(&self) -> Result<Arc<dyn Partition>> {
        self.catalog.lock().clone().ok_or_else(|| self.closed())
    }

    /// Why no more writes are taken.
    pub(super) fn closed(&self) -> Error {
        Error::Closed(match &*self.health.borrow() {
            Health::Failed(why) => why.clone(),
            Health::Writable | Health::Full | Health::Unavailable => "it is closing".to_owned(),
        })
    }
}
