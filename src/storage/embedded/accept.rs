//! Events on their way in: their rows are built by the caller, so that the one
//! committer has little to do.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    day::Day,
    group::REMEMBERED_DAYS,
    key,
    kv::Batch,
    piece,
    row::{DeliveryRow, EventRow, INLINE, IdempotencyRow},
    store::Store,
    write::Write,
};
use crate::{
    domain::{Delivery, DeliveryId, Event, SubscriptionId, TenantId, Trigger},
    storage::{AcceptEvents, Accepted, DueKey, Error, Ingest, Result, Routed, TenantVersion},
};

/// The events of one call with their rows. All of them are of one day, since a
/// batch is atomic in one partition only.
pub(super) struct Accepting {
    pub(super) tenant: TenantId,
    pub(super) routed_at: Option<TenantVersion>,
    pub(super) day: Day,
    pub(super) events: Vec<AcceptingEvent>,
}

/// One event with its rows.
pub(super) struct AcceptingEvent {
    pub(super) event: Arc<Event>,
    pub(super) subscriptions: Vec<SubscriptionId>,
    pub(super) trigger: Trigger,
    pub(super) writes: Batch,
    pub(super) idempotency: Option<(Vec<u8>, IdempotencyRow)>,
}

impl Accepting {
    /// About how many bytes it writes.
    pub(super) fn size(&self) -> u64 {
        self.events.iter().map(|event| event.writes.size()).sum()
    }
}

impl AcceptingEvent {
    fn new(routed: Routed) -> Self {
        let Routed {
            event,
            subscriptions,
            trigger,
        } = routed;
        let mut writes = Batch::default();
        let idempotency = put_event(&mut writes, &event, &subscriptions);
        put_deliveries(&mut writes, &event, &subscriptions, trigger);
        Self {
            event,
            subscriptions,
            trigger,
            writes,
            idempotency,
        }
    }

    pub(super) fn delivery_count(&self) -> u32 {
        count(&self.subscriptions)
    }
}

#[async_trait]
impl Ingest for Store {
    /// Refuses a call whose events are of different days by their ids, and one
    /// with an event of more deliveries than an id can number.
    async fn accept_events(&self, events: AcceptEvents) -> Result<Vec<Accepted>> {
        let Some(first) = events.events.first() else {
            return Ok(Vec::new());
        };
        let day = Day::of_event(first.event.id);
        for routed in &events.events {
            if Day::of_event(routed.event.id) != day {
                return Err(refused("events of one call must have ids of one day"));
            }
            if routed.subscriptions.len() > DeliveryId::MAX_PER_EVENT {
                return Err(refused("an event has too many deliveries"));
            }
        }
        let keyed = |routed: &Routed| routed.event.idempotency_key.is_some();
        if events.events.iter().any(keyed) {
            self.open_remembered(day).await?;
        }
        let call = Accepting {
            tenant: events.tenant,
            routed_at: events.routed_at,
            day,
            events: events.events.into_iter().map(AcceptingEvent::new).collect(),
        };
        self.write(|reply| Write::Accept(call, reply)).await
    }
}

impl Store {
    /// Opens the days in which the committer will look for idempotency keys, so
    /// that nobody else has to wait for that.
    async fn open_remembered(&self, day: Day) -> Result<()> {
        let closed = self.state.days.closed_since(day.before(REMEMBERED_DAYS))?;
        if closed.is_empty() {
            return Ok(());
        }
        self.read(move |state| {
            for day in closed {
                state.days.get(day)?;
            }
            Ok(())
        })
        .await
    }
}

/// Writes an event and its idempotency key, and returns that.
pub(super) fn put_event(
    writes: &mut Batch,
    event: &Event,
    subscriptions: &[SubscriptionId],
) -> Option<(Vec<u8>, IdempotencyRow)> {
    let row = EventRow::write(event, subscriptions);
    piece::put(writes, key::event(&event.tenant, event.id), &row);
    if event.payload.data.len() > INLINE {
        piece::put(writes, key::body(event.id), &event.payload.data);
    }
    event.idempotency_key.as_ref().map(|name| {
        let row = IdempotencyRow::of(event, subscriptions.len());
        let key = key::idempotency(&event.tenant, name);
        writes.put(key.clone(), row.write());
        (key, row)
    })
}

/// New deliveries of one event differ in nothing but their keys.
fn put_deliveries(
    writes: &mut Batch,
    event: &Event,
    subscriptions: &[SubscriptionId],
    trigger: Trigger,
) {
    let Some(&first) = subscriptions.first() else {
        return;
    };
    let row = DeliveryRow {
        tenant: event.tenant.clone(),
        delivery: Delivery::new(event, 0, first, trigger),
        attempts: Vec::new(),
    };
    let row = row.write();
    for (id, subscription) in event.id.deliveries(subscriptions) {
        writes.put(key::delivery(subscription, id), row.clone());
        let place = DueKey {
            due: event.due(),
            delivery_id: id,
        };
        writes.put(key::due(subscription, place), Vec::new());
        if let Some(ordering_key) = &event.ordering_key {
            writes.put(key::order(subscription, ordering_key, id), Vec::new());
        }
    }
}

fn count(subscriptions: &[SubscriptionId]) -> u32 {
    u32::try_from(subscriptions.len()).unwrap_or(u32::MAX)
}

fn refused(why: &'static str) -> Error {
    Error::Engine(why.into())
}
