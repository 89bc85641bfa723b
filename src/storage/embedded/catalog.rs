//! Subscriptions: read from memory, changed by the committer.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{change::CatalogChange, store::Store, write::Write};
use crate::{
    domain::{Subscription, SubscriptionId, TenantId, Timestamp, Version},
    storage::{
        Catalog, Created, Cursor, Error, Page, PageRequest, Resource, Result, SubscriptionChange,
        TenantSubscriptions, walk,
    },
};

#[async_trait]
impl Catalog for Store {
    async fn create_subscription(
        &self,
        subscription: Subscription,
        request_id: Option<String>,
        most: Option<u32>,
    ) -> Result<Created> {
        let change = CatalogChange::Create(Box::new(subscription), request_id, most);
        self.write(|reply| Write::Catalog(change, reply)).await
    }

    async fn replace_subscription(
        &self,
        subscription: Subscription,
        expected: Version,
    ) -> Result<()> {
        let change = CatalogChange::Replace(Box::new(subscription), expected);
        self.write(|reply| Write::Catalog(change, reply)).await?;
        Ok(())
    }

    async fn delete_subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        expected: Option<Version>,
        _now: Timestamp,
    ) -> Result<()> {
        let change = CatalogChange::Delete(tenant.clone(), id, expected);
        self.write(|reply| Write::Catalog(change, reply)).await?;
        Ok(())
    }

    async fn subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
    ) -> Result<Arc<Subscription>> {
        let subscriptions = self.state.subscriptions.read();
        subscriptions
            .get(tenant, id)
            .cloned()
            .ok_or(Error::NotFound(Resource::Subscription(id)))
    }

    async fn find_subscription(&self, id: SubscriptionId) -> Result<Option<Arc<Subscription>>> {
        Ok(self.state.subscriptions.read().find(id).cloned())
    }

    async fn list_subscriptions(
        &self,
        tenant: &TenantId,
        page: PageRequest,
    ) -> Result<Page<Arc<Subscription>>> {
        let below = match page.cursor {
            None => None,
            Some(Cursor(bytes)) => {
                let id = bytes
                    .try_into()
                    .map_err(|_| Error::Corrupt("cursor".to_owned()))?;
                Some(SubscriptionId::from_bytes(id))
            }
        };
        let subscriptions = self.state.subscriptions.read();
        let found = subscriptions.newest(tenant, below, page.size.saturating_add(1));
        Ok(walk::subscriptions(found, page.size))
    }

    async fn tenant_subscriptions(&self, tenant: &TenantId) -> Result<TenantSubscriptions> {
        Ok(self.state.subscriptions.read().of_tenant(tenant))
    }

    fn subscription_changes(&self) -> broadcast::Receiver<SubscriptionChange> {
        self.state.changes.subscribe()
    }
}
