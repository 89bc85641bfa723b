//! Looking at events, and erasing what they hold.

use super::{Control, List, Listed, Result};
use crate::{
    domain::{Erasure, Event, EventId, TenantId},
    storage::{Erased, EventFilter, View},
};

impl Control {
    /// Returns an event.
    pub async fn event(&self, tenant: &TenantId, id: EventId, view: View) -> Result<Event> {
        Ok(self.store.event(tenant, id, view).await?)
    }

    /// Lists events, newest first.
    pub async fn list_events(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        view: View,
        list: &List,
    ) -> Result<Listed<Event>> {
        let scope = ("events", tenant, filter);
        let page = list.request(&scope)?;
        let page = self.store.list_events(tenant, filter, view, page).await?;
        Ok(Listed::new(page, &scope))
    }

    /// Erases what events and attempts hold.
    pub async fn erase(&self, tenant: &TenantId, what: Erasure) -> Result<Erased> {
        let erased = self.store.erase(tenant, what, self.clock.now()).await?;
        tracing::info!(
            %tenant,
            ?what,
            events = erased.events,
            attempts = erased.attempts,
            cancelled = erased.cancelled,
            "erased"
        );
        Ok(erased)
    }
}
