//! Which subscriptions want an event: an index per tenant, in memory.
//!
//! An index that was kept is never trusted alone. A publish carries the version
//! it was routed by, and the store refuses it when the subscriptions have
//! changed; then it is routed by what is read anew.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::RwLock;
use tokio::{
    sync::{OnceCell, Semaphore},
    task::yield_now,
};

use super::{
    Error, Result,
    filter::{Program, Programs, Subject},
};
use crate::{
    domain::{Event, EventPattern, EventType, FilterExpression, State, SubscriptionId, TenantId},
    storage::{Engine, TenantSubscriptions, TenantVersion},
};

/// Most tenants whose index is kept. One more drops them all, and those in use
/// are read again.
const MAX_TENANTS: usize = 10_000;

/// Steps of filters after which others get their turn: about a millisecond.
const STINT: usize = 10_000;

/// An index. The first who wants it reads it, and the others wait for that read:
/// a change of a large tenant must not be read once per publish under way.
type Slot = Arc<OnceCell<Arc<Index>>>;

/// The indexes of the tenants that published.
#[derive(Debug)]
pub(super) struct Routes {
    slots: RwLock<HashMap<TenantId, Slot>>,
    programs: Programs,
    /// One at a time of the calls whose filters take long, so that they leave the
    /// other processors to the rest.
    long: Semaphore,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            slots: RwLock::default(),
            programs: Programs::default(),
            long: Semaphore::new(1),
        }
    }
}

impl Routes {
    /// The tenant's index. It may be stale, which the store finds out.
    pub(super) async fn index(&self, store: &dyn Engine, tenant: &TenantId) -> Result<Arc<Index>> {
        let read = async || {
            let subscriptions = store.tenant_subscriptions(tenant).await?;
            Ok::<_, Error>(Arc::new(Index::new(&subscriptions, &self.programs)))
        };
        let slot = self.slot(tenant);
        Ok(slot.get_or_try_init(read).await?.clone())
    }

    /// The subscriptions that want the event, each once, in the order of their
    /// ids. A tenant whose filters take long waits for its turn before each
    /// stint of them.
    pub(super) async fn route(&self, index: &Index, event: &Event) -> Vec<SubscriptionId> {
        let wanting = index.wanting(&event.event_type);
        if index.filters.is_empty() {
            return wanting;
        }
        let mut chosen = Vec::with_capacity(wanting.len());
        let mut left = wanting.as_slice();
        while !left.is_empty() {
            let turn = if index.is_long.load(Ordering::Relaxed) {
                yield_now().await;
                self.long.acquire().await.ok()
            } else {
                None
            };
            left = index.judge(event, left, &mut chosen);
            drop(turn);
        }
        chosen
    }

    /// What a filter says of an event, or why it has no answer.
    pub(super) fn ask(
        &self,
        filter: &FilterExpression,
        subject: &Subject<'_>,
    ) -> std::result::Result<bool, String> {
        match &*self.programs.get(filter) {
            Ok(filter) => filter.matches(subject).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Forgets an index that the store found stale. Whatever is read from now on
    /// shows the change that made it so, and is kept only after this index was:
    /// so whoever was given this one is given a read that began later.
    pub(super) fn forget(&self, tenant: &TenantId, stale: &Arc<Index>) {
        let mut slots = self.slots.write();
        let kept = slots.get(tenant).and_then(|slot| slot.get());
        if kept.is_some_and(|kept| Arc::ptr_eq(kept, stale)) {
            slots.remove(tenant);
        }
    }

    fn slot(&self, tenant: &TenantId) -> Slot {
        if let Some(slot) = self.slots.read().get(tenant) {
            return slot.clone();
        }
        let mut slots = self.slots.write();
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
    filters: HashMap<SubscriptionId, Program>,
    /// Whether its filters took a whole stint for an event.
    is_long: AtomicBool,
}

impl Index {
    /// The index of these subscriptions.
    pub(super) fn new(of: &TenantSubscriptions, programs: &Programs) -> Self {
        let mut index = Self {
            version: of.version,
            ..Self::default()
        };
        for subscription in &of.subscriptions {
            if subscription.state != State::Active {
                continue;
            }
            if let Some(filter) = &subscription.spec.filter {
                index.filters.insert(subscription.id, programs.get(filter));
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

    /// Adds to `chosen` those whose filter says so, for one stint, and returns
    /// those that are left.
    fn judge<'a>(
        &self,
        event: &Event,
        wanting: &'a [SubscriptionId],
        chosen: &mut Vec<SubscriptionId>,
    ) -> &'a [SubscriptionId] {
        let subject = Subject::from(event);
        let mut steps = 0;
        for (judged, id) in (1..).zip(wanting) {
            match self.filters.get(id).map(|program| &**program) {
                None => chosen.push(*id),
                Some(Ok(filter)) => {
                    let (answer, spent) = filter.weigh(&subject);
                    steps += spent;
                    if answer == Ok(true) {
                        chosen.push(*id);
                    }
                }
                Some(Err(_)) => {}
            }
            if steps >= STINT {
                self.is_long.store(true, Ordering::Relaxed);
                return &wanting[judged..];
            }
        }
        &[]
    }

    /// The subscriptions that want the type, each once, in the order of their
    /// ids.
    fn wanting(&self, event_type: &EventType) -> Vec<SubscriptionId> {
        let text = event_type.as_str();
        let prefixes = text.match_indices('.').map(|(at, _)| &text[..at]);
        let below = prefixes.filter_map(|prefix| self.below.get(prefix));
        let exact = self.exact.get(event_type);
        let any = (!event_type.is_operational()).then_some(&self.any);
        let mut wanting: Vec<_> = any
            .into_iter()
            .flatten()
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
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        Attributes, ContentType, EventId, EventPatterns, LiveSecrets, NewEvent, Payload, Secret,
        StateCode, Subscription, SubscriptionSpec, Timestamp,
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
            let of = TenantSubscriptions { version, subscriptions };
            let index = Index::new(&of, &Programs::default());
            prop_assert_eq!(index.wanting(&event_type), wanting);
        }
    }

    fn filtered(n: u128, filter: &str) -> Arc<Subscription> {
        let mut subscription = (*subscription(n, &["a".to_owned()], true)).clone();
        subscription.spec.filter = Some(filter.parse().unwrap());
        Arc::new(subscription)
    }

    fn event(event_type: &str, data: String) -> Event {
        let event = NewEvent {
            event_type: event_type.parse().unwrap(),
            payload: Payload {
                data: Bytes::from(data),
                content_type: ContentType::default(),
            },
            idempotency_key: None,
            ordering_key: None,
            attributes: Attributes::default(),
            deliver_after: None,
        };
        let now = Timestamp::from_secs(1);
        event.accept(EventId::new(now, 0), TenantId::default(), now)
    }

    #[tokio::test]
    async fn filters_that_take_long_stop_after_a_stint_and_go_on() {
        let deep = "event.data.l.all(x, event.data.l.all(y, event.data.l.all(z, z >= 0)))";
        let subscriptions = (0..3).map(|n| filtered(n, deep));
        let of = TenantSubscriptions {
            version: TenantVersion(1),
            subscriptions: subscriptions.collect(),
        };
        let routes = Routes::default();
        let index = Index::new(&of, &routes.programs);
        let numbers = vec!["1"; 20].join(",");
        let event = event("a", format!("{{\"l\":[{numbers}]}}"));
        let wanting = index.wanting(&event.event_type);
        let mut chosen = Vec::new();
        assert_eq!(index.judge(&event, &wanting, &mut chosen), &wanting[1..]);
        // While another has its turn, it waits.
        let turn = routes.long.acquire().await.unwrap();
        let mut call = std::pin::pin!(routes.route(&index, &event));
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), &mut call);
        assert!(waits.await.is_err());
        drop(turn);
        assert_eq!(call.await, wanting);
    }

    #[tokio::test]
    async fn a_filter_decides_after_the_type_and_no_answer_is_no_match() {
        let subscriptions = vec![
            subscription(0, &["*".to_owned()], true),
            filtered(1, "event.data.total > 1"),
            filtered(2, "event.data.total > 2"),
            filtered(3, "event.data.missing > 2"),
            filtered(4, "refused by a later version"),
        ];
        let of = TenantSubscriptions {
            version: TenantVersion(1),
            subscriptions,
        };
        let routes = Routes::default();
        let index = Index::new(&of, &routes.programs);
        let count = async |event_type: &str| {
            let event = event(event_type, "{\"total\":2}".to_owned());
            routes.route(&index, &event).await.len()
        };
        assert_eq!((count("a").await, count("b").await), (2, 1));
    }
}
