//! Subscriptions as they are stored, and the feed of their changes.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    change::CatalogChange,
    error::{from_pg, unreadable},
    row::{from_subscription, to_subscription_id, to_tenant},
    store::Store,
};
use crate::{
    domain::{Keyring, Subscription, SubscriptionId, TenantId, Timestamp, Version},
    storage::{
        Catalog, Created, Cursor, Error, Page, PageRequest, Resource, Result, SubscriptionChange,
        TenantSubscriptions, TenantVersion, row::read_subscription, walk,
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
        self.state.change_catalog(change).await
    }

    async fn replace_subscription(
        &self,
        subscription: Subscription,
        expected: Version,
    ) -> Result<()> {
        let change = CatalogChange::Replace(Box::new(subscription), expected);
        self.state.change_catalog(change).await?;
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
        self.state.change_catalog(change).await?;
        Ok(())
    }

    async fn subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
    ) -> Result<Arc<Subscription>> {
        let found = self.find_subscription(id).await?;
        found
            .filter(|subscription| subscription.tenant == *tenant)
            .ok_or(Error::NotFound(Resource::Subscription(id)))
    }

    async fn find_subscription(&self, id: SubscriptionId) -> Result<Option<Arc<Subscription>>> {
        let client = self.state.connection().await?;
        let statement = client
            .prepare_cached(
                "SELECT id, tenant, content FROM subscription
                 WHERE id = $1 AND content IS NOT NULL",
            )
            .await
            .map_err(from_pg)?;
        let row = client
            .query_opt(&statement, &[&from_subscription(id)])
            .await
            .map_err(from_pg)?;
        let found =
            row.map(|row| subscription(&to_tenant(row.get("tenant"))?, &row, &self.state.keyring));
        found.transpose()
    }

    async fn list_subscriptions(
        &self,
        tenant: &TenantId,
        page: PageRequest,
    ) -> Result<Page<Arc<Subscription>>> {
        // No id of a subscription is that large: ids say their version.
        let below = match &page.cursor {
            None => Uuid::max(),
            Some(Cursor(bytes)) => {
                Uuid::from_slice(bytes).map_err(|_| Error::Corrupt("cursor".to_owned()))?
            }
        };
        let limit = i64::try_from(page.size.saturating_add(1)).unwrap_or(i64::MAX);
        let client = self.state.connection().await?;
        let statement = client
            .prepare_cached(
                "SELECT id, content FROM subscription
                 WHERE tenant = $1 AND content IS NOT NULL AND id < $2
                 ORDER BY id DESC LIMIT $3",
            )
            .await
            .map_err(from_pg)?;
        let rows = client
            .query(&statement, &[&tenant.as_str(), &below, &limit])
            .await
            .map_err(from_pg)?;
        let found = rows
            .iter()
            .map(|row| subscription(tenant, row, &self.state.keyring));
        Ok(walk::subscriptions(
            found.collect::<Result<_>>()?,
            page.size,
        ))
    }

    /// In one statement, so that the version is that of the subscriptions; and
    /// never from memory, since who asks was told that it is behind.
    async fn tenant_subscriptions(&self, tenant: &TenantId) -> Result<TenantSubscriptions> {
        let client = self.state.connection().await?;
        let statement = client
            .prepare_cached(
                "SELECT t.version, s.id, s.content
                 FROM (SELECT coalesce((SELECT version FROM tenant WHERE id = $1), 0) AS version) t
                 LEFT JOIN subscription s ON s.tenant = $1 AND s.content IS NOT NULL
                 ORDER BY s.id",
            )
            .await
            .map_err(from_pg)?;
        let rows = client
            .query(&statement, &[&tenant.as_str()])
            .await
            .map_err(from_pg)?;
        let mut read = TenantSubscriptions {
            version: TenantVersion::default(),
            subscriptions: Vec::with_capacity(rows.len()),
        };
        for row in &rows {
            let version = row.get::<_, i64>("version");
            read.version = TenantVersion(version.unsigned_abs());
            if row.get::<_, Option<Uuid>>("id").is_some() {
                read.subscriptions
                    .push(subscription(tenant, row, &self.state.keyring)?);
            }
        }
        Ok(read)
    }

    fn subscription_changes(&self) -> broadcast::Receiver<SubscriptionChange> {
        self.state.changes.subscribe()
    }
}

/// The subscription of a row that has content.
fn subscription(tenant: &TenantId, row: &Row, keyring: &Keyring) -> Result<Arc<Subscription>> {
    let id = to_subscription_id(row.get("id"));
    let read = read_subscription(tenant.clone(), id, row.get("content"), keyring);
    read.map(Arc::new).map_err(unreadable("subscription"))
}
