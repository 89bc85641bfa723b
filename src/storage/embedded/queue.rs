//! The due index, merged over the days.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};

use super::{
    day::{Day, from_kv},
    key,
    kv::{Bounds, Order, Partition, Step},
    state::State,
    store::Store,
    write::{CancelPending, Write},
};
use crate::{
    domain::{DeliveryId, SubscriptionId, TenantId, Timestamp},
    storage::{AttemptRecord, Due, DueKey, DuePage, Hint, Queue, Result, View, Work},
};

#[async_trait]
impl Queue for Store {
    fn owns(&self, _: SubscriptionId) -> bool {
        true
    }

    fn ownership(&self) -> watch::Receiver<u64> {
        self.state.ownership.subscribe()
    }

    fn hand_over(&self) {}

    async fn due_subscriptions(
        &self,
        after: Option<SubscriptionId>,
        limit: usize,
    ) -> Result<Vec<Due>> {
        self.read(move |state| state.due_subscriptions(after, limit))
            .await
    }

    async fn due(
        &self,
        subscription: SubscriptionId,
        after: Option<DueKey>,
        limit: usize,
    ) -> Result<DuePage> {
        self.read(move |state| state.due(subscription, after, limit))
            .await
    }

    async fn load_work(
        &self,
        subscription: SubscriptionId,
        delivery: DeliveryId,
    ) -> Result<Option<Work>> {
        self.read_day(Day::of_delivery(delivery), move |state| {
            state.load_work(subscription, delivery)
        })
        .await
    }

    async fn ahead_of(
        &self,
        subscription: SubscriptionId,
        ordering_key: &str,
        delivery: DeliveryId,
    ) -> Result<Option<DueKey>> {
        let bounds = key::ahead(subscription, ordering_key, delivery);
        self.read(move |state| state.ahead_of(subscription, &bounds, delivery))
            .await
    }

    fn attempt_started(&self, _: SubscriptionId, delivery: DeliveryId) -> bool {
        self.state.in_flight.lock().insert(delivery);
        true
    }

    fn attempt_abandoned(&self, delivery: DeliveryId) {
        self.state.in_flight.lock().remove(&delivery);
    }

    async fn pending(&self, tenant: &TenantId, most: u64) -> Result<u64> {
        let tenant = tenant.clone();
        self.read(move |state| state.pending(&tenant, most)).await
    }

    async fn record_attempts(&self, records: Vec<AttemptRecord>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.write(|reply| Write::Record(records, reply)).await
    }

    async fn cancel_pending(
        &self,
        subscription: SubscriptionId,
        limit: usize,
        now: Timestamp,
    ) -> Result<usize> {
        let call = CancelPending {
            subscription,
            limit,
            now,
        };
        self.write(|reply| Write::CancelPending(call, reply)).await
    }

    fn hints(&self) -> broadcast::Receiver<Arc<Hint>> {
        self.state.hints.subscribe()
    }
}

impl State {
    fn due_subscriptions(&self, after: Option<SubscriptionId>, limit: usize) -> Result<Vec<Due>> {
        let mut earliest = BTreeMap::<SubscriptionId, DueKey>::new();
        for day in self.days.awake()? {
            let Some(partition) = self.days.get(day)? else {
                continue;
            };
            // Each day alone may have the first `limit` of them all.
            let mut after = after;
            for _ in 0..limit {
                let Some((subscription, place)) = next_queue(&*partition, after)? else {
                    break;
                };
                let first = earliest.entry(subscription).or_insert(place);
                *first = place.min(*first);
                after = Some(subscription);
            }
        }
        let due = earliest.into_iter().take(limit);
        Ok(due
            .map(|(subscription_id, first)| Due {
                subscription_id,
                first,
            })
            .collect())
    }

    fn pending(&self, tenant: &TenantId, most: u64) -> Result<u64> {
        let subscriptions = self.subscriptions.read().of_tenant(tenant).subscriptions;
        let mut count = 0;
        for day in self.days.awake()? {
            let Some(partition) = self.days.get(day)? else {
                continue;
            };
            for subscription in &subscriptions {
                let bounds = key::queue(subscription.id, None);
                let visit = &mut |_: &[u8], _: &[u8]| {
                    count += 1;
                    if count < most {
                        Step::Continue(())
                    } else {
                        Step::Break(())
                    }
                };
                partition
                    .scan(bounds, Order::Forwards, visit)
                    .map_err(from_kv)?;
                if count >= most {
                    return Ok(most);
                }
            }
        }
        Ok(count)
    }

    fn due(
        &self,
        subscription: SubscriptionId,
        after: Option<DueKey>,
        limit: usize,
    ) -> Result<DuePage> {
        // Before reading: what was announced by now is seen.
        let as_of = self.announced();
        let mut entries = Vec::new();
        for day in self.days.awake()? {
            entries.extend(self.places(day, subscription, after, limit.saturating_add(1))?);
        }
        entries.sort_unstable();
        let complete = entries.len() <= limit;
        entries.truncate(limit);
        Ok(DuePage {
            entries,
            complete,
            as_of,
        })
    }

    /// Up to `limit` places of a subscription's queue on a day.
    pub(super) fn places(
        &self,
        day: Day,
        subscription: SubscriptionId,
        after: Option<DueKey>,
        limit: usize,
    ) -> Result<Vec<DueKey>> {
        let mut places = Vec::new();
        let Some(partition) = self.days.get(day)?.filter(|_| limit > 0) else {
            return Ok(places);
        };
        let bounds = key::queue(subscription, after);
        partition
            .scan(bounds, Order::Forwards, &mut |key, _| {
                places.extend(key::place_of(key).map(|(_, place)| place));
                if places.len() < limit {
                    Step::Continue(())
                } else {
                    Step::Break(())
                }
            })
            .map_err(from_kv)?;
        Ok(places)
    }

    /// The first delivery within the bounds that is not settled, on the days up
    /// to this one's.
    fn ahead_of(
        &self,
        subscription: SubscriptionId,
        bounds: &Bounds,
        delivery: DeliveryId,
    ) -> Result<Option<DueKey>> {
        let last = Day::of_delivery(delivery);
        for day in self.days.awake()?.into_iter().filter(|day| *day <= last) {
            let Some(partition) = self.days.get(day)? else {
                continue;
            };
            let mut bounds = bounds.clone();
            while let Some(key) = first_key(&*partition, bounds.clone())? {
                let id = key::delivery_of(&key);
                // What was settled since the key was read is no longer ahead,
                // but the next one is.
                if let Some(id) = id
                    && let Some(row) = self.delivery_row(subscription, id)?
                    && let Some(due) = row.delivery.due
                {
                    return Ok(Some(DueKey {
                        due,
                        delivery_id: id,
                    }));
                }
                bounds.0 = Bound::Excluded(key);
            }
        }
        Ok(None)
    }

    fn load_work(
        &self,
        subscription: SubscriptionId,
        delivery: DeliveryId,
    ) -> Result<Option<Work>> {
        let Some(row) = self.delivery_row(subscription, delivery)? else {
            return Ok(None);
        };
        if row.delivery.due.is_none() {
            return Ok(None);
        }
        let Some(event) = self.event_row(&row.tenant, delivery.event_id())? else {
            return Ok(None);
        };
        let event = self.event_of(event, View::Full)?;
        if event.is_erased() {
            return Ok(None);
        }
        Ok(Some(Work {
            delivery: row.delivery,
            event: Arc::new(event),
        }))
    }
}

/// The first place of the first queue after a subscription's.
fn next_queue(
    partition: &dyn Partition,
    after: Option<SubscriptionId>,
) -> Result<Option<(SubscriptionId, DueKey)>> {
    let mut next = None;
    partition
        .scan(key::queues(after), Order::Forwards, &mut |key, _| {
            next = key::place_of(key);
            Step::Break(())
        })
        .map_err(from_kv)?;
    Ok(next)
}

/// The first key within the bounds.
fn first_key(partition: &dyn Partition, bounds: Bounds) -> Result<Option<Vec<u8>>> {
    let mut first = None;
    partition
        .scan(bounds, Order::Forwards, &mut |key, _| {
            first = Some(key.to_vec());
            Step::Break(())
        })
        .map_err(from_kv)?;
    Ok(first)
}
