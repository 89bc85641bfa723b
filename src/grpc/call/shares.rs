//! What each tenant has of something that all share, so that none has all of it.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;

use crate::domain::TenantId;

/// For whom a call is: known once it came through the gate. Stands in the
/// extensions of requests.
#[derive(Debug, Clone, Default)]
pub(in crate::grpc) struct Whose(Arc<OnceLock<TenantId>>);

impl Whose {
    /// Notes the tenant.
    pub(in crate::grpc) fn is(&self, tenant: &TenantId) {
        let _ = self.0.set(tenant.clone());
    }
}

/// What tenants have.
#[derive(Debug)]
pub(super) struct Shares {
    most: usize,
    taken: Mutex<HashMap<TenantId, usize>>,
}

impl Shares {
    /// Of which each may have so much.
    pub(super) fn of(most: usize) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { most, taken })
    }

    /// Whether a tenant has as much as it may.
    pub(super) fn is_full(&self, whose: &Whose) -> bool {
        let taken = |tenant| self.taken.lock().get(tenant).copied();
        whose.0.get().and_then(taken).unwrap_or_default() >= self.most
    }

    /// Takes so much for a tenant, even beyond what it may have. Nobody's is not
    /// counted.
    pub(super) fn take(self: &Arc<Self>, whose: &Whose, amount: usize) -> Share {
        if let Some(tenant) = whose.0.get() {
            *self.taken.lock().entry(tenant.clone()).or_default() += amount;
        }
        Share {
            shares: self.clone(),
            whose: whose.clone(),
            amount,
        }
    }
}

/// What was taken; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    whose: Whose,
    amount: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(tenant) = self.whose.0.get() else {
            return;
        };
        let mut taken = self.shares.taken.lock();
        if let Some(left) = taken.get_mut(tenant) {
            *left -= self.amount;
            if *left == 0 {
                taken.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_share_and_gives_it_back() {
        let shares = Shares::of(3);
        let [one, other] = ["one", "other"].map(|name| {
            let whose = Whose::default();
            whose.is(&name.parse().unwrap());
            whose
        });
        let first = shares.take(&one, 2);
        assert!(!shares.is_full(&one));
        let second = shares.take(&one, 2);
        assert!(shares.is_full(&one) && !shares.is_full(&other));
        drop(first);
        assert!(!shares.is_full(&one));
        drop((second, shares.take(&Whose::default(), 9)));
        assert!(shares.taken.lock().is_empty());
    }
}
