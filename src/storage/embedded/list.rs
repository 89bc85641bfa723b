//! Lists: pages of what a walk shows and the filter lets through. A page ends
//! when it is full, when it is large, or when enough rows were looked at.

use std::sync::Arc;

use super::{day::Day, state::State, walk::Walk};
use crate::{
    domain::{Attempt, Delivery, DeliveryFilter, Event, TenantId},
    storage::{
        EventFilter, Page, PageRequest, Result, View,
        walk::{MAX_BYTES, Place, continued, number},
    },
};

impl State {
    pub(super) fn list_events(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        view: View,
        page: &PageRequest,
    ) -> Result<Page<Event>> {
        let mut walk = Walk::new(self, tenant, filter.accepted, Place::of(page)?)?;
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < page.size && bytes < MAX_BYTES && !walk.is_spent() {
            let Some(row) = walk.next_event()? else {
                return Ok(continued(items, walk.rest()));
            };
            let event_type = &row.event.event_type;
            let types = &filter.types;
            if types.is_empty() || types.iter().any(|pattern| pattern.matches(event_type)) {
                let event = self.event_of(row, view)?;
                bytes += event.size_without_payload() + event.payload.data.len();
                items.push(event);
            }
        }
        Ok(continued(items, walk.place()))
    }

    pub(super) fn list_deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<Page<Delivery>> {
        let mut walk = Walk::filtered(self, tenant, filter, Place::of(page)?)?;
        let mut items = Vec::new();
        while items.len() < page.size && !walk.is_spent() {
            let Some(row) = walk.next_delivery()? else {
                return Ok(continued(items, walk.rest()));
            };
            let delivery = self.shown(row.delivery);
            if filter.shows_delivery(&delivery) {
                items.push(delivery);
            }
        }
        Ok(continued(items, walk.place()))
    }

    pub(super) fn list_attempts(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<Page<Arc<Attempt>>> {
        let from = Place::of(page)?;
        let mut walk = Walk::filtered(self, tenant, filter, from)?;
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < page.size && bytes < MAX_BYTES && !walk.is_spent() {
            let Some(row) = walk.next_delivery()? else {
                return Ok(continued(items, walk.rest()));
            };
            let delivery = &row.delivery;
            if !filter.shows_source(delivery.id, delivery.subscription_id, &delivery.event_type) {
                continue;
            }
            let all = row.attempts.len();
            let left = from.map_or(u64::MAX, |place| place.attempts_of(number(delivery.id)));
            let left = usize::try_from(left).map_or(all, |left| left.min(all));
            for (index, position) in row.attempts[..left].iter().enumerate().rev() {
                if items.len() == page.size || bytes >= MAX_BYTES || walk.is_spent() {
                    let place = Place::within(number(delivery.id), index as u64 + 1);
                    return Ok(continued(items, Some(place)));
                }
                let attempt = self.attempt(Day::of_delivery(delivery.id), *position)?;
                walk.look();
                if filter.shows_attempt(&attempt) {
                    bytes += attempt.size();
                    items.push(Arc::new(attempt));
                }
            }
        }
        Ok(continued(items, walk.place()))
    }
}
