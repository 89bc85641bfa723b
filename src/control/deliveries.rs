//! Looking at deliveries and attempts, and stepping in.

use std::sync::Arc;

use super::{Control, List, Listed, Result};
use crate::{
    domain::{Attempt, Delivery, DeliveryFilter, DeliveryId, TenantId},
    storage::DeliveryChange,
};

impl Control {
    /// Returns a delivery.
    pub async fn delivery(&self, tenant: &TenantId, id: DeliveryId) -> Result<Delivery> {
        Ok(self.store.delivery(tenant, id).await?)
    }

    /// Lists deliveries, newest first.
    pub async fn list_deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        list: &List,
    ) -> Result<Listed<Delivery>> {
        let scope = ("deliveries", tenant, filter);
        let page = list.request(&scope)?;
        let page = self.store.list_deliveries(tenant, filter, page).await?;
        Ok(Listed::new(page, &scope))
    }

    /// Lists attempts, newest delivery first.
    pub async fn list_attempts(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        list: &List,
    ) -> Result<Listed<Arc<Attempt>>> {
        let scope = ("attempts", tenant, filter);
        let page = list.request(&scope)?;
        let page = self.store.list_attempts(tenant, filter, page).await?;
        Ok(Listed::new(page, &scope))
    }

    /// Begins a fresh chain of attempts.
    pub async fn retry(&self, tenant: &TenantId, id: DeliveryId) -> Result<Delivery> {
        self.change(tenant, id, DeliveryChange::Retry).await
    }

    /// Cancels a delivery that is not settled.
    pub async fn cancel(&self, tenant: &TenantId, id: DeliveryId) -> Result<Delivery> {
        self.change(tenant, id, DeliveryChange::Cancel).await
    }

    async fn change(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
        change: DeliveryChange,
    ) -> Result<Delivery> {
        let now = self.clock.now();
        Ok(self.store.change_delivery(tenant, id, change, now).await?)
    }
}
