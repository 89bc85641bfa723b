//! Publishing: events are routed, numbered and accepted in one durable write.

use std::sync::Arc;

use super::{Control, Error, Result, routing::Index};
use crate::{
    domain::{DeliveryId, Event, EventId, NewEvent, SubscriptionId, TenantId, Trigger},
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
        let mut index = match self.routes.get(tenant) {
            Some(index) => index,
            None => self.reload(tenant).await?,
        };
        for _ in 0..MAX_ROUTINGS {
            let routed = events.iter().map(|event| Routed {
                event: event.clone(),
                subscriptions: route(&index, event),
                trigger: Trigger::Event,
            });
            let accept = AcceptEvents {
                tenant: tenant.clone(),
                routed_at: Some(index.version()),
                events: routed.collect(),
            };
            match self.store.accept_events(accept).await {
                Err(storage::Error::StaleSubscriptions) => index = self.reload(tenant).await?,
                accepted => return Ok(accepted?),
            }
        }
        Err(Error::Contended)
    }

    async fn reload(&self, tenant: &TenantId) -> Result<Arc<Index>> {
        let subscriptions = self.store.tenant_subscriptions(tenant).await?;
        let index = Arc::new(Index::new(&subscriptions));
        self.routes.keep(tenant, index.clone());
        Ok(index)
    }
}

fn route(index: &Index, event: &Event) -> Vec<SubscriptionId> {
    let mut wanting = index.route(&event.event_type);
    if wanting.len() > DeliveryId::MAX_PER_EVENT {
        tracing::warn!(event = %event.id, wanted_by = wanting.len(), "too many subscriptions");
        wanting.truncate(DeliveryId::MAX_PER_EVENT);
    }
    wanting
}
