//! Subscriptions.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{Page, PageRequest, Result};
use crate::domain::{Subscription, SubscriptionId, TenantId, Timestamp, Version};

/// Raised by every change of any of a tenant's subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TenantVersion(pub u64);

/// All subscriptions of a tenant, as of a version.
#[derive(Debug, Clone)]
pub struct TenantSubscriptions {
    /// The version.
    pub version: TenantVersion,
    /// The subscriptions, disabled ones too, in the order of their ids.
    pub subscriptions: Vec<Arc<Subscription>>,
}

/// What came of a creation.
#[derive(Debug, Clone)]
pub enum Created {
    /// The subscription is stored.
    New,
    /// The request id was used within the last 7 days: this is the
    /// subscription as it was created then. Nothing is stored.
    Repeated(Box<Subscription>),
    /// The tenant has as many subscriptions as it may. Nothing is stored.
    TooMany,
}

/// A subscription was created, changed or deleted.
#[derive(Debug, Clone)]
pub struct SubscriptionChange {
    /// Whose subscription.
    pub tenant: TenantId,
    /// Which.
    pub id: SubscriptionId,
    /// What it is now; `None` once it is deleted.
    pub now: Option<Arc<Subscription>>,
}

/// Keeps subscriptions. Changes of one subscription are ordered by its version.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// Stores a new subscription, unless the tenant used the request id before,
    /// or has as many as `most` already.
    async fn create_subscription(
        &self,
        subscription: Subscription,
        request_id: Option<String>,
        most: Option<u32>,
    ) -> Result<Created>;

    /// Replaces a subscription if its version is still `expected`, else
    /// `VersionMismatch`; `NotFound` if it is gone.
    async fn replace_subscription(
        &self,
        subscription: Subscription,
        expected: Version,
    ) -> Result<()>;

    /// Deletes a subscription, if its version is `expected` where given. Its
    /// unsettled deliveries read as cancelled from then on, and those that are
    /// due are removed by [`super::Queue::cancel_pending`].
    async fn delete_subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        expected: Option<Version>,
        now: Timestamp,
    ) -> Result<()>;

    /// Returns a subscription.
    async fn subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
    ) -> Result<Arc<Subscription>>;

    /// Returns a subscription of any tenant: for the dispatcher, never for a
    /// caller.
    async fn find_subscription(&self, id: SubscriptionId) -> Result<Option<Arc<Subscription>>>;

    /// Lists a tenant's subscriptions, newest first.
    async fn list_subscriptions(
        &self,
        tenant: &TenantId,
        page: PageRequest,
    ) -> Result<Page<Arc<Subscription>>>;

    /// Returns all subscriptions of a tenant with the version they are of.
    async fn tenant_subscriptions(&self, tenant: &TenantId) -> Result<TenantSubscriptions>;

    /// Tells of changes, each after it is durable.
    fn subscription_changes(&self) -> broadcast::Receiver<SubscriptionChange>;
}
