//! All subscriptions in memory: there are few of them, and every event is
//! matched against them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    domain::{Subscription, SubscriptionId, TenantId},
    storage::{TenantSubscriptions, TenantVersion},
};

/// The subscriptions by tenant and by id.
#[derive(Debug, Default)]
pub(super) struct SubscriptionIndex {
    tenants: HashMap<TenantId, Tenant>,
    ids: HashMap<SubscriptionId, Arc<Subscription>>,
}

#[derive(Debug, Default)]
struct Tenant {
    version: TenantVersion,
    subscriptions: BTreeMap<SubscriptionId, Arc<Subscription>>,
}

impl SubscriptionIndex {
    /// Puts a subscription in the place of the one with its id.
    pub(super) fn put(&mut self, subscription: Arc<Subscription>) {
        let tenant = self.tenants.entry(subscription.tenant.clone()).or_default();
        tenant.version.0 += 1;
        tenant
            .subscriptions
            .insert(subscription.id, Arc::clone(&subscription));
        self.ids.insert(subscription.id, subscription);
    }

    /// Takes a subscription away.
    pub(super) fn remove(&mut self, tenant: &TenantId, id: SubscriptionId) {
        // The tenant stays: its version must not begin anew.
        if let Some(tenant) = self.tenants.get_mut(tenant) {
            tenant.version.0 += 1;
            tenant.subscriptions.remove(&id);
        }
        self.ids.remove(&id);
    }

    /// A subscription of any tenant.
    pub(super) fn find(&self, id: SubscriptionId) -> Option<&Arc<Subscription>> {
        self.ids.get(&id)
    }

    /// A tenant's subscription.
    pub(super) fn get(&self, tenant: &TenantId, id: SubscriptionId) -> Option<&Arc<Subscription>> {
        self.find(id).filter(|found| found.tenant == *tenant)
    }

    /// The version of a tenant's subscriptions. It begins anew with the
    /// process, as does whatever was routed by it.
    pub(super) fn version(&self, tenant: &TenantId) -> TenantVersion {
        self.tenants
            .get(tenant)
            .map_or_else(TenantVersion::default, |tenant| tenant.version)
    }

    /// How many a tenant has.
    pub(super) fn count(&self, tenant: &TenantId) -> usize {
        let tenant = self.tenants.get(tenant);
        tenant.map_or(0, |tenant| tenant.subscriptions.len())
    }

    /// The sum of all versions.
    pub(super) fn versions(&self) -> u64 {
        self.ids.values().map(|found| found.version.0).sum()
    }

    /// All subscriptions of a tenant.
    pub(super) fn of_tenant(&self, tenant: &TenantId) -> TenantSubscriptions {
        TenantSubscriptions {
            version: self.version(tenant),
            subscriptions: self
                .tenants
                .get(tenant)
                .map(|tenant| tenant.subscriptions.values().cloned().collect())
                .unwrap_or_default(),
        }
    }

    /// Up to `size` of a tenant's subscriptions below an id, newest first.
    pub(super) fn newest(
        &self,
        tenant: &TenantId,
        below: Option<SubscriptionId>,
        size: usize,
    ) -> Vec<Arc<Subscription>> {
        let Some(tenant) = self.tenants.get(tenant) else {
            return Vec::new();
        };
        let subscriptions = tenant.subscriptions.iter().rev();
        subscriptions
            .skip_while(|(id, _)| below.is_some_and(|below| **id >= below))
            .take(size)
            .map(|(_, subscription)| Arc::clone(subscription))
            .collect()
    }
}
