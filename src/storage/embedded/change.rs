//! Changes of subscriptions, decided by the committer against what is stored.

use std::sync::Arc;

use super::{
    key,
    kv::{Batch, Partition},
    piece,
    row::{read_request, write_request, write_subscription},
    state::State,
};
use crate::{
    domain::{Keyring, Subscription, SubscriptionId, TenantId, Version},
    storage::{Created, Error, Resource, Result, SubscriptionChange, idempotency::is_forgotten},
};

/// A change of one subscription.
pub(super) enum CatalogChange {
    /// See [`crate::storage::Catalog::create_subscription`].
    Create(Box<Subscription>, Option<String>, Option<u32>),
    /// See [`crate::storage::Catalog::replace_subscription`].
    Replace(Box<Subscription>, Version),
    /// See [`crate::storage::Catalog::delete_subscription`].
    Delete(TenantId, SubscriptionId, Option<Version>),
}

/// What a change writes and tells, or that it was made before.
pub(super) enum Decided {
    Write(Batch, SubscriptionChange),
    Nothing(Created),
}

impl CatalogChange {
    /// Whether it adds what was not there.
    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::Create(..))
    }

    pub(super) fn decide(self, state: &State, catalog: &dyn Partition) -> Result<Decided> {
        let mut batch = Batch::default();
        match self {
            Self::Create(subscription, request, most) => {
                if let Some(request) = request {
                    let key = key::request(&subscription.tenant, &request);
                    if let Some(created) = created_by(state, catalog, &key, &subscription)? {
                        return Ok(Decided::Nothing(Created::Repeated(Box::new(created))));
                    }
                    piece::remove(catalog, &mut batch, key.clone())?;
                    piece::put(
                        &mut batch,
                        key,
                        &write_request(&subscription, &state.keyring),
                    );
                }
                let count = state.subscriptions.read().count(&subscription.tenant);
                if most.is_some_and(|most| count >= most as usize) {
                    return Ok(Decided::Nothing(Created::TooMany));
                }
                Ok(put(batch, *subscription, &state.keyring))
            }
            Self::Replace(subscription, expected) => {
                check(state, &subscription.tenant, subscription.id, Some(expected))?;
                let key = key::subscription(&subscription.tenant, subscription.id);
                piece::remove(catalog, &mut batch, key)?;
                Ok(put(batch, *subscription, &state.keyring))
            }
            Self::Delete(tenant, id, expected) => {
                check(state, &tenant, id, expected)?;
                piece::remove(catalog, &mut batch, key::subscription(&tenant, id))?;
                let change = SubscriptionChange {
                    tenant,
                    id,
                    now: None,
                };
                Ok(Decided::Write(batch, change))
            }
        }
    }
}

fn put(mut batch: Batch, subscription: Subscription, keyring: &Keyring) -> Decided {
    let key = key::subscription(&subscription.tenant, subscription.id);
    piece::put(&mut batch, key, &write_subscription(&subscription, keyring));
    let change = SubscriptionChange {
        tenant: subscription.tenant.clone(),
        id: subscription.id,
        now: Some(Arc::new(subscription)),
    };
    Decided::Write(batch, change)
}

/// What the request of this key created, if it is remembered.
fn created_by(
    state: &State,
    catalog: &dyn Partition,
    key: &[u8],
    subscription: &Subscription,
) -> Result<Option<Subscription>> {
    let Some(row) = piece::get(catalog, key)? else {
        return Ok(None);
    };
    let read = read_request(subscription.tenant.clone(), &row, &state.keyring);
    let (requested, created) = read.map_err(|why| why.into_error(|| piece::malformed(key)))?;
    Ok((!is_forgotten(requested, subscription.create_time)).then_some(created))
}

fn check(
    state: &State,
    tenant: &TenantId,
    id: SubscriptionId,
    expected: Option<Version>,
) -> Result<()> {
    let subscriptions = state.subscriptions.read();
    let current = subscriptions
        .get(tenant, id)
        .ok_or(Error::NotFound(Resource::Subscription(id)))?;
    if expected.is_some_and(|expected| expected != current.version) {
        return Err(Error::VersionMismatch);
    }
    Ok(())
}
