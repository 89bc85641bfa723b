//! What each tenant has of something that all share: half at most of what the
//! others leave, so that there is some for those who come.

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

    /// That of a tenant with this name.
    #[cfg(test)]
    pub(super) fn of(name: &str) -> Self {
        let whose = Self::default();
        whose.is(&name.parse().expect("it is a name"));
        whose
    }
}

/// What tenants have.
#[derive(Debug)]
pub(super) struct Shares {
    whole: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<TenantId, usize>,
}

impl Shares {
    /// Of so much in all.
    pub(super) fn of(whole: usize) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { whole, taken })
    }

    /// Whether a tenant has as much as it may.
    pub(super) fn is_full(&self, whose: &Whose) -> bool {
        let taken = self.taken.lock();
        let own = whose.0.get().and_then(|tenant| taken.of.get(tenant));
        let own = own.copied().unwrap_or_default();
        let left = self.whole.saturating_sub(taken.all - own);
        own >= left.div_ceil(2)
    }

    /// Takes so much for a tenant, even beyond what it may have. Nobody's is not
    /// counted.
    pub(super) fn take(self: &Arc<Self>, whose: &Whose, amount: usize) -> Share {
        if let Some(tenant) = whose.0.get() {
            let mut taken = self.taken.lock();
            taken.all += amount;
            *taken.of.entry(tenant.clone()).or_default() += amount;
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
        taken.all -= self.amount;
        if let Some(left) = taken.of.get_mut(tenant) {
            *left -= self.amount;
            if *left == 0 {
                taken.of.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_share_and_gives_it_back() {
        let shares = Shares::of(8);
        let [one, other] = ["one", "other"].map(Whose::of);
        let first = shares.take(&one, 2);
        assert!(!shares.is_full(&one));
        let second = shares.take(&one, 2);
        assert!(shares.is_full(&one) && !shares.is_full(&other));
        // Of the four that are left.
        let third = shares.take(&other, 2);
        assert!(shares.is_full(&other) && !shares.is_full(&Whose::default()));
        drop(first);
        assert!(!shares.is_full(&one));
        drop((second, third, shares.take(&Whose::default(), 9)));
        let taken = shares.taken.lock();
        assert!(taken.all == 0 && taken.of.is_empty());
    }
}
