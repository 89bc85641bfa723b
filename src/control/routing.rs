//! Which subscriptions want an event: an index per tenant, in memory.
//!
//! An index that was kept is never trusted alone. A publish carries the version
//! it was routed by, and the store refuses it when the subscriptions have
//! changed; then it is routed by what is read anew.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use tokio::sync::OnceCell;

use super::{Error, Result};
use crate::{
    domain::{EventPattern, EventType, State, SubscriptionId, TenantId},
    storage::{Engine, TenantSubscriptions, TenantVersion},
};

/// Most tenants whose index is kept. One more drops them all, and those in use
/// are read again.
const MAX_TENANTS: usize = 10_000;

/// An index. The first who wants it reads it, and the others wait for that read:
/// a change of a large tenant must not be read once per publish under way.
type Slot = Arc<OnceCell<Arc<Index>>>;

/// The indexes of the tenants that published.
#[derive(Debug, Default)]
pub(super) struct Routes(RwLock<HashMap<TenantId, Slot>>);

impl Routes {
    /// The tenant's index. It may be stale, which the store finds out.
    pub(super) async fn index(&self, store: &dyn Engine, tenant: &TenantId) -> Result<Arc<Index>> {
        let read = async || {
            let subscriptions = store.tenant_subscriptions(tenant).await?;
            Ok::<_, Error>(Arc::new(Index::new(&subscriptions)))
        };
        let slot = self.slot(tenant);
        Ok(slot.get_or_try_init(read).await?.clone())
    }

    /// Forgets an index that the store found stale. Whatever is read from now on
    /// shows the change that made it so, and is kept only after this index was:
    /// so whoever was given this one is given a read that began later.
    pub(super) fn forget(&self, tenant: &TenantId, stale: &Arc<Index>) {
        let mut slots = self.0.write();
        let kept = slots.get(tenant).and_then(|slot| slot.get());
        if kept.is_some_and(|kept| Arc::ptr_eq(kept, stale)) {
            slots.remove(tenant);
        }
    }

    fn slot(&self, tenant: &TenantId) -> Slot {
        if let Some(slot) = self.0.read().get(tenant) {
            return slot.clone();
        }
        let mut slots = self.0.write();
        if slots.len() >= MAX_TENANTS {
            slots.clear();
        }
        slots.entry(tenant.clone()).or_default().clone()
    }
}

/// The active subscriptions of a tenant by what they want.
#[derive(Debug, Default)]
pub(super) struct Index {
    version: TenantVersion,
    any: Vec<SubscriptionId>,
    exact: HashMap<EventType, Vec<SubscriptionId>>,
    below: HashMap<String, Vec<SubscriptionId>>,
}

impl Index {
    /// The index of these subscriptions.
    pub(super) fn new(of: &TenantSubscriptions) -> Self {
        let mut index = Self {
            version: of.version,
            ..Self::default()
        };
        for subscription in &of.subscriptions {
            if subscription.state != State::Active {
                continue;
            }
            for pattern in subscription.spec.events.as_slice() {
                let wanting = match pattern {
                    EventPattern::Any => &mut index.any,
                    EventPattern::Exact(exact) => index.exact.entry(exact.clone()).or_default(),
                    EventPattern::Below(prefix) => {
                        index.below.entry(prefix.as_str().to_owned()).or_default()
                    }
                };
                wanting.push(subscription.id);
            }
        }
        index
    }

    /// The version of the subscriptions it is of.
    pub(super) fn version(&self) -> TenantVersion {
        self.version
    }

    /// The subscriptions that want the type, each once, in the order of their
    /// ids.
    pub(super) fn route(&self, event_type: &EventType) -> Vec<SubscriptionId> {
        let text = event_type.as_str();
        let prefixes = text.match_indices('.').map(|(at, _)| &text[..at]);
        let below = prefixes.filter_map(|prefix| self.below.get(prefix));
        let exact = self.exact.get(event_type);
        let mut wanting: Vec<_> = self
            .any
            .iter()
            .chain(exact.into_iter().flatten())
            .chain(below.flatten())
            .copied()
            .collect();
        wanting.sort_unstable();
        wanting.dedup();
        wanting
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        EventPatterns, LiveSecrets, Secret, StateCode, Subscription, SubscriptionSpec, Timestamp,
    };

    fn pattern() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("*".to_owned()),
            "[ab](\\.[ab]){0,2}",
            "[ab](\\.[ab]){0,1}\\.\\*",
        ]
    }

    fn subscription(n: u128, patterns: &[String], active: bool) -> Arc<Subscription> {
        let now = Timestamp::from_secs(1);
        let patterns = patterns.iter().map(|text| text.parse().unwrap()).collect();
        let url = "https://client.example/".parse().unwrap();
        let spec = SubscriptionSpec::new(url, EventPatterns::new(patterns).unwrap());
        let secrets = LiveSecrets::new(Secret::generate([0; 32]));
        let id = SubscriptionId::new(now, n);
        let created = Subscription::new(id, TenantId::default(), spec, secrets, now);
        let state = if active {
            State::Active
        } else {
            State::Disabled
        };
        Arc::new(created.with_state(state, StateCode::Requested, String::new(), now))
    }

    proptest! {
        #[test]
        fn an_event_goes_to_exactly_the_subscriptions_that_want_it(
            specs in prop::collection::vec(
                (prop::collection::vec(pattern(), 1..4), any::<bool>()),
                0..8,
            ),
            event_type in "[ab](\\.[ab]){0,3}",
        ) {
            let event_type: EventType = event_type.parse().unwrap();
            let subscriptions: Vec<_> = (0..)
                .zip(&specs)
                .map(|(n, (patterns, active))| subscription(n, patterns, *active))
                .collect();
            let wanting: Vec<_> = subscriptions
                .iter()
                .filter(|subscription| subscription.wants(&event_type))
                .map(|subscription| subscription.id)
                .collect();
            let version = TenantVersion(7);
            let index = Index::new(&TenantSubscriptions { version, subscriptions });
            prop_assert_eq!(index.route(&event_type), wanting);
        }
    }
}
