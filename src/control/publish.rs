//! Publishing: events are routed, numbered and accepted in one durable write.

use std::sync::Arc;

use super::{Control, Error, Result, routing::Index};
use crate::{
    domain::{DeliveryId, Event, NewEvent, TenantId, Trigger},
    storage::{self, AcceptEvents, Accepted, Routed, TenantVersion},
};

impl Control {
    /// Accepts an event.
    pub async fn publish(&self, tenant: &TenantId, event: NewEvent) -> Result<Accepted> {
        let accepted = self.publish_batch(tenant, vec![event]).await?;
        Ok(accepted[0])
    }

    /// Accepts all of the events or none, as far as the tenant may publish them,
    /// and answers in their order.
    pub async fn publish_batch(
        &self,
        tenant: &TenantId,
        events: Vec<NewEvent>,
    ) -> Result<Vec<Accepted>> {
        self.meter.book(&*self.store, tenant, &events).await?;
        self.accept(tenant, events).await
    }

    /// Accepts all of the events or none, whatever the tenant may use.
    ///
    /// The events' ids are made from one reading of the clock, so that all of
    /// them fall on one day, and ascend.
    pub(super) async fn accept(
        &self,
        tenant: &TenantId,
        events: Vec<NewEvent>,
    ) -> Result<Vec<Accepted>> {
        let now = self.clock.now();
        let ids = self.next_event_ids(now, events.len());
        let events: Vec<_> = events
            .into_iter()
            .zip(ids)
            .map(|(event, id)| Arc::new(event.accept(id, tenant.clone(), now)))
            .collect();
        let index = self.routes.index(&*self.store, tenant).await?;
        let version = Some(index.version());
        let accept = self.routed(tenant, &index, &events, version).await?;
        match self.store.accept_events(accept).await {
            Err(storage::Error::StaleSubscriptions) => self.routes.forget(tenant, &index),
            accepted => return Ok(accepted?),
        }
        // What is read now shows all that was acknowledged before this call
        // began. Changes that come meanwhile may be missed by it, so they need
        // not be looked for, however many there are.
        let index = self.routes.index(&*self.store, tenant).await?;
        let accept = self.routed(tenant, &index, &events, None).await?;
        Ok(self.store.accept_events(accept).await?)
    }

    async fn routed(
        &self,
        tenant: &TenantId,
        index: &Index,
        events: &[Arc<Event>],
        routed_at: Option<TenantVersion>,
    ) -> Result<AcceptEvents> {
        let mut routed = Vec::with_capacity(events.len());
        for event in events {
            let subscriptions = self.routes.route(index, event).await;
            if subscriptions.len() > DeliveryId::MAX_PER_EVENT {
                return Err(Error::TooManyDeliveries {
                    event_type: event.event_type.clone(),
                    wanted_by: subscriptions.len(),
                });
            }
            routed.push(Routed {
                event: event.clone(),
                subscriptions,
                trigger: Trigger::Event,
            });
        }
        Ok(AcceptEvents {
            tenant: tenant.clone(),
            routed_at,
            events: routed,
        })
    }
}
