//! Explaining where an event went, and why not elsewhere.

use std::{collections::HashMap, sync::Arc};

use super::{Control, List, Listed, Result, filter::Subject};
use crate::{
    domain::{
        Delivery, DeliveryFilter, EventId, Explanation, Subscription, SubscriptionId, TenantId,
    },
    storage::{Page, PageRequest, View},
};

/// How many deliveries are read at once.
const DELIVERIES: usize = 1_000;

impl Control {
    /// Explains an event for each subscription of the tenant, newest first.
    pub async fn explain_event(
        &self,
        tenant: &TenantId,
        id: EventId,
        list: &List,
    ) -> Result<Listed<Explanation>> {
        let scope = ("explanations", tenant, id);
        let page = list.request(&scope)?;
        let event = self.store.event(tenant, id, View::Full).await?;
        let mut deliveries = self.deliveries_of(tenant, id).await?;
        let page = self.store.list_subscriptions(tenant, page).await?;
        let subject = Subject::from(&event);
        let explain = |subscription: &Arc<Subscription>| {
            let delivery = deliveries.remove(&subscription.id);
            Explanation::new(&event, subscription, delivery, || {
                let filter = subscription.spec.filter.as_ref();
                filter.map_or(Ok(true), |filter| self.routes.ask(filter, &subject))
            })
        };
        let explained = Page {
            items: page.items.iter().map(explain).collect(),
            next: page.next,
        };
        Ok(Listed::new(explained, &scope))
    }

    /// The event's newest delivery to each subscription.
    async fn deliveries_of(
        &self,
        tenant: &TenantId,
        event: EventId,
    ) -> Result<HashMap<SubscriptionId, Delivery>> {
        let filter = DeliveryFilter {
            event_id: Some(event),
            ..DeliveryFilter::default()
        };
        let mut newest = HashMap::new();
        let mut cursor = None;
        loop {
            let page = PageRequest {
                size: DELIVERIES,
                cursor,
            };
            let page = self.store.list_deliveries(tenant, &filter, page).await?;
            for delivery in page.items {
                newest.entry(delivery.subscription_id).or_insert(delivery);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(newest);
            }
        }
    }
}
