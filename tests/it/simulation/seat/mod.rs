//! The store as the product holds it in the simulation: one that takes its time,
//! notes what goes through it, and has the bugs that a test plants.

mod through;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider::{
    domain::{
        Attempt, Delivery, DeliveryFilter, DeliveryId, Event, EventId, Subscription,
        SubscriptionId, TenantId, Timestamp, Version,
    },
    storage::{
        AcceptEvents, Accepted, AttemptRecord, Catalog, Created, DeliveryChange, Due, DueKey,
        DuePage, Engine, Error, EventFilter, Hint, Ingest, Log, LogPosition, LogSlice, Page,
        PageRequest, Queue, Result, SubscriptionChange, TenantSubscriptions, View, Work,
    },
};
use tokio::sync::{broadcast, watch};

use super::{
    dice::Dice,
    history::{Call, History, Outcome, Started, Stored, Written},
    planted::Planted,
    scene::Scene,
};

/// A store and what is known of its use.
pub struct Seat {
    store: Arc<dyn Engine>,
    scene: Arc<Scene>,
    planted: Planted,
    dice: Mutex<Dice>,
    /// Of reads that fail; none in a life in which everything heals.
    failing: Option<Mutex<Dice>>,
}

impl Seat {
    pub fn new(store: Arc<dyn Engine>, scene: Arc<Scene>) -> Self {
        let life = scene.clocks.moment().life;
        let dice = |name| Dice::new(scene.plan.seed, &format!("{name} {life}"));
        let fails = scene.plan.unreadable && u64::from(life) <= scene.plan.lives;
        Self {
            store,
            failing: fails.then(|| Mutex::new(dice("failing"))),
            dice: Mutex::new(dice("seat")),
            planted: Planted::new(scene.plan.bug),
            scene,
        }
    }

    /// What a disk or a thread takes its time for.
    async fn pause(&self) {
        let pause = {
            let mut dice = self.dice.lock();
            match dice.below(100) {
                0..60 => return,
                60..98 => dice.between(1, 15),
                _ => dice.between(100, 1_500),
            }
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// Makes a call, slowly.
    async fn slowly<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.pause().await;
        let result = call.await;
        self.pause().await;
        result
    }

    /// Reads, slowly, what the dispatcher wants to know.
    async fn read<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let fails = |dice: &Mutex<Dice>| dice.lock().chance(5);
        if self.failing.as_ref().is_some_and(fails) {
            self.pause().await;
            return Err(Error::Unavailable("out of reach".into()));
        }
        self.slowly(call).await
    }

    /// Makes a call, slowly, and notes it and what came of it where `list` says.
    async fn noted<T, W>(
        &self,
        what: W,
        list: impl Fn(&mut History) -> &mut Vec<Call<W>>,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let place = self.scene.begin(what, &list);
        let result = self.slowly(call).await;
        let outcome = match &result {
            Ok(_) => Outcome::Done,
            Err(Error::Closed(_) | Error::Unavailable(_) | Error::Engine(_)) => Outcome::Unknown,
            Err(_) => Outcome::Refused,
        };
        self.scene.end(place, outcome, &list);
        result
    }

    async fn write_subscription<T>(
        &self,
        id: SubscriptionId,
        now: Option<Subscription>,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let now = now.map(Arc::new);
        self.noted(
            Written { id, now },
            |history| &mut history.subscriptions,
            call,
        )
        .await
    }
}

#[async_trait]
impl Catalog for Seat {
    async fn create_subscription(
        &self,
        subscription: Subscription,
        request_id: Option<String>,
        most: Option<u32>,
    ) -> Result<Created> {
        let written = subscription.clone();
        let create = self
            .store
            .create_subscription(subscription, request_id, most);
        let id = written.id;
        let created = self.write_subscription(id, Some(written), create).await;
        if let Ok(Created::Repeated(_)) = created {
            // Nothing was written.
            let mut history = self.scene.history.lock();
            let mut calls = history.subscriptions.iter_mut();
            let call = calls.find(|call| call.what.id == id).unwrap();
            call.outcome = Outcome::Refused;
        }
        created
    }

    async fn replace_subscription(
        &self,
        subscription: Subscription,
        expected: Version,
    ) -> Result<()> {
        let written = subscription.clone();
        let replace = self.store.replace_subscription(subscription, expected);
        self.write_subscription(written.id, Some(written), replace)
            .await
    }

    async fn delete_subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        expected: Option<Version>,
        now: Timestamp,
    ) -> Result<()> {
        let delete = self.store.delete_subscription(tenant, id, expected, now);
        self.write_subscription(id, None, delete).await
    }

    async fn subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
    ) -> Result<Arc<Subscription>> {
        self.slowly(self.store.subscription(tenant, id)).await
    }

    async fn find_subscription(&self, id: SubscriptionId) -> Result<Option<Arc<Subscription>>> {
        let found = self.read(self.store.find_subscription(id)).await?;
        Ok(found.map(|found| self.planted.found(found)))
    }

    async fn list_subscriptions(
        &self,
        tenant: &TenantId,
        page: PageRequest,
    ) -> Result<Page<Arc<Subscription>>> {
        self.store.list_subscriptions(tenant, page).await
    }

    async fn tenant_subscriptions(&self, tenant: &TenantId) -> Result<TenantSubscriptions> {
        self.slowly(self.store.tenant_subscriptions(tenant)).await
    }

    fn subscription_changes(&self) -> broadcast::Receiver<SubscriptionChange> {
        self.store.subscription_changes()
    }
}

#[async_trait]
impl Ingest for Seat {
    async fn accept_events(&self, mut events: AcceptEvents) -> Result<Vec<Accepted>> {
        self.planted.accepts(&mut events);
        let stored = events.events.iter().map(|routed| Stored {
            event: Arc::clone(&routed.event),
            trigger: routed.trigger,
        });
        let stored = stored.collect();
        let accept = self.store.accept_events(events);
        self.noted(stored, |history| &mut history.stored, accept)
            .await
    }
}

#[async_trait]
impl Log for Seat {
    async fn event(&self, tenant: &TenantId, id: EventId, view: View) -> Result<Event> {
        self.store.event(tenant, id, view).await
    }

    async fn list_events(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        view: View,
        page: PageRequest,
    ) -> Result<Page<Event>> {
        self.store.list_events(tenant, filter, view, page).await
    }

    async fn delivery(&self, tenant: &TenantId, id: DeliveryId) -> Result<Delivery> {
        self.store.delivery(tenant, id).await
    }

    async fn list_deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<Delivery>> {
        let mut page = self.store.list_deliveries(tenant, filter, page).await?;
        page.items.retain(|delivery| self.planted.lists(delivery));
        Ok(page)
    }

    async fn list_attempts(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<Arc<Attempt>>> {
        self.store.list_attempts(tenant, filter, page).await
    }

    async fn change_delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
        change: DeliveryChange,
        now: Timestamp,
    ) -> Result<Delivery> {
        self.slowly(self.store.change_delivery(tenant, id, change, now))
            .await
    }

    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogSlice> {
        self.store.read_log(after, limit).await
    }

    async fn position_before(&self, time: Timestamp) -> Result<LogPosition> {
        self.store.position_before(time).await
    }

    fn log_end(&self) -> watch::Receiver<LogPosition> {
        self.store.log_end()
    }
}

#[async_trait]
impl Queue for Seat {
    fn owns(&self, subscription: SubscriptionId) -> bool {
        self.store.owns(subscription)
    }

    fn ownership(&self) -> watch::Receiver<u64> {
        self.store.ownership()
    }

    fn hand_over(&self) {
        self.store.hand_over();
    }

    async fn due_subscriptions(
        &self,
        after: Option<SubscriptionId>,
        limit: usize,
    ) -> Result<Vec<Due>> {
        self.read(self.store.due_subscriptions(after, limit)).await
    }

    async fn due(
        &self,
        subscription: SubscriptionId,
        after: Option<DueKey>,
        limit: usize,
    ) -> Result<DuePage> {
        let mut page = self
            .read(self.store.due(subscription, after, limit))
            .await?;
        page.entries.retain(|entry| self.planted.is_due(entry));
        Ok(page)
    }

    async fn load_work(
        &self,
        subscription: SubscriptionId,
        delivery: DeliveryId,
    ) -> Result<Option<Work>> {
        self.read(self.store.load_work(subscription, delivery))
            .await
    }

    async fn ahead_of(
        &self,
        subscription: SubscriptionId,
        ordering_key: &str,
        delivery: DeliveryId,
    ) -> Result<Option<DueKey>> {
        let asking = self.store.ahead_of(subscription, ordering_key, delivery);
        Ok(self.read(asking).await?.filter(|_| self.planted.orders()))
    }

    fn attempt_started(&self, subscription: SubscriptionId, delivery: DeliveryId) -> bool {
        self.scene.history.lock().started.push(Started {
            subscription,
            delivery,
            at: self.scene.clocks.moment(),
        });
        self.store.attempt_started(subscription, delivery)
    }

    fn attempt_abandoned(&self, delivery: DeliveryId) {
        self.store.attempt_abandoned(delivery);
    }

    async fn pending(&self, tenant: &TenantId, most: u64) -> Result<u64> {
        self.store.pending(tenant, most).await
    }

    async fn record_attempts(&self, records: Vec<AttemptRecord>) -> Result<()> {
        for record in records {
            let noted = (record.attempt.delivery_id, record.attempt.number);
            let kept = self.planted.records(record.next);
            let record = async {
                if kept {
                    self.store.record_attempts(vec![record]).await
                } else {
                    Ok(())
                }
            };
            self.noted(noted, |history| &mut history.recorded, record)
                .await?;
        }
        Ok(())
    }

    async fn cancel_pending(
        &self,
        subscription: SubscriptionId,
        limit: usize,
        now: Timestamp,
    ) -> Result<usize> {
        self.slowly(self.store.cancel_pending(subscription, limit, now))
            .await
    }

    fn hints(&self) -> broadcast::Receiver<Arc<Hint>> {
        self.store.hints()
    }
}
