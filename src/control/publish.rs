//! Publishing: events are routed, numbered and accepted in one durable write.

use std::sync::Arc;

use super::{Control, Error, Result, routing::Index};
use crate::{
    domain::{DeliveryId, Event, EventId, NewEvent, TenantId, Trigger},
    storage::{self, AcceptEvents, Accepted, Routed},
};

/// How often a publish is routed anew because subscriptions changed.
const MAX_ROUTINGS: usize = 20;

impl Control {
    /// Accepts an event.
    pub async fn publish(&self, tenant: &TenantId, event: NewEvent) -> Result<Accepted> {
        let accepted = self.publish_batch(tenant, vec![event]).await?;
        Ok(accepted[0])
    }

    /// Accepts all of the events or none, and answers in their order.
    ///
    /// The events' ids are made from one reading of the clock, so that all of
    /// them fall on one day.
    pub async fn publish_batch(
        &self,
        tenant: &TenantId,
        events: Vec<NewEvent>,
    ) -> Result<Vec<Accepted>> {
        let now = self.clock.now();
        let events: Vec<_> = events
            .into_iter()
            .map(|event| {
                let id = EventId::new(now, self.random.bits());
                Arc::new(event.accept(id, tenant.clone(), now))
            })
            .collect();
        for _ in 0..MAX_ROUTINGS {
            let index = self.routes.index(&*self.store, tenant).await?;
            let accept = AcceptEvents {
                tenant: tenant.clone(),
                routed_at: Some(index.version()),
                events: events
                    .iter()
                    .map(|event| route(&index, event))
                    .collect::<Result<_>>()?,
            };
            match self.store.accept_events(accept).await {
                Err(storage::Error::StaleSubscriptions) => self.routes.forget(tenant, &index),
                accepted => return Ok(accepted?),
            }
        }
        Err(Error::Contended)
    }
}

fn route(index: &Index, event: &Arc<Event>) -> Result<Routed> {
    let subscriptions = index.route(event);
    if subscriptions.len() > DeliveryId::MAX_PER_EVENT {
        return Err(Error::TooManyDeliveries {
            event_type: event.event_type.clone(),
            wanted_by: subscriptions.len(),
        });
    }
    Ok(Routed {
        event: event.clone(),
        subscriptions,
        trigger: Trigger::Event,
    })
}
