//! Reads of single things, changes by hand, and the log of attempts in order.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    day::{Day, from_kv},
    key,
    kv::{Order, Step},
    piece,
    row::read_attempt,
    state::State,
    store::Store,
    untimed::Untimed,
    write::{Change, Write},
};
use crate::{
    domain::{Attempt, Delivery, DeliveryFilter, DeliveryId, Event, EventId, TenantId, Timestamp},
    storage::{
        DeliveryChange, Error, EventFilter, Log, LogPosition, LogSlice, Page, PageRequest,
        Resource, Result, View,
    },
};

#[async_trait]
impl Log for Store {
    async fn event(&self, tenant: &TenantId, id: EventId, view: View) -> Result<Event> {
        let tenant = tenant.clone();
        self.read_day(Day::of_event(id), move |state| {
            let row = state.event_row(&tenant, id)?;
            let row = row.ok_or(Error::NotFound(Resource::Event(id)))?;
            state.event_of(row, view)
        })
        .await
    }

    async fn list_events(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        view: View,
        page: PageRequest,
    ) -> Result<Page<Event>> {
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.read(move |state| state.list_events(&tenant, &filter, view, &page))
            .await
    }

    async fn delivery(&self, tenant: &TenantId, id: DeliveryId) -> Result<Delivery> {
        let tenant = tenant.clone();
        self.read_day(Day::of_delivery(id), move |state| {
            let subscription = state.subscription_of(&tenant, id)?;
            let row = state.delivery_row(subscription, id)?;
            let row = row.ok_or(Error::NotFound(Resource::Delivery(id)))?;
            Ok(state.shown(row.delivery))
        })
        .await
    }

    async fn list_deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<Delivery>> {
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.read(move |state| state.list_deliveries(&tenant, &filter, &page))
            .await
    }

    async fn list_attempts(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<Arc<Attempt>>> {
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.read(move |state| state.list_attempts(&tenant, &filter, &page))
            .await
    }

    async fn change_delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
        change: DeliveryChange,
        now: Timestamp,
    ) -> Result<Delivery> {
        let change = Change {
            tenant: tenant.clone(),
            id,
            what: change,
            now,
        };
        self.write(|reply| Write::Change(change, reply)).await
    }

    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogSlice> {
        let removed_before = self.state.removed_before(after);
        let attempts = match self.state.tail.read(after, limit) {
            Some(attempts) => attempts,
            None => self.read(move |state| state.read_log(after, limit)).await?,
        };
        Ok(LogSlice {
            attempts,
            removed_before,
        })
    }

    /// A position is the time of its commit in microseconds, or one more than
    /// the position before, so the time is the place; but for attempts that were
    /// copied from an engine that numbers them otherwise.
    async fn position_before(&self, time: Timestamp) -> Result<LogPosition> {
        if self.state.untimed.lock().reach(time) {
            return self.read(move |state| state.position_before(time)).await;
        }
        self.state.position_before(time)
    }

    fn log_end(&self) -> watch::Receiver<LogPosition> {
        self.state.log_end.subscribe()
    }
}

impl State {
    pub(super) fn position_before(&self, time: Timestamp) -> Result<LogPosition> {
        if self.untimed.lock().reach(time) {
            return self.untimed_before(time);
        }
        Ok(LogPosition(time.as_micros().saturating_sub(1)))
    }

    /// Reads the log from the partitions, each a piece of it.
    fn read_log(
        &self,
        after: LogPosition,
        limit: usize,
    ) -> Result<Vec<(LogPosition, Arc<Attempt>)>> {
        // What is written behind the end is not durable yet.
        let mut last = *self.log_end.borrow();
        let mut rows = Vec::<(LogPosition, Day, Vec<u8>)>::new();
        for day in self.days.logged_after(after)? {
            let Some(partition) = self.days.get(day)? else {
                continue;
            };
            let mut count = 0;
            partition
                .scan(
                    key::attempts(after, last),
                    Order::Forwards,
                    &mut |key, row| {
                        count += 1;
                        if count > limit {
                            return Step::Break(());
                        }
                        rows.extend(key::position_of(key).map(|at| (at, day, row.to_vec())));
                        Step::Continue(())
                    },
                )
                .map_err(from_kv)?;
            rows.sort_unstable();
            rows.truncate(limit);
            if let Some((full, ..)) = rows.last().filter(|_| rows.len() == limit) {
                last = *full;
            }
        }
        let attempts = rows.into_iter().map(|(position, day, row)| {
            let attempt = self.join_attempt(day, position, &row)?;
            Ok((position, Arc::new(attempt)))
        });
        attempts.collect()
    }

    /// Reads the attempt at a position.
    pub(super) fn attempt(&self, day: Day, position: LogPosition) -> Result<Attempt> {
        let key = key::attempt(position);
        let row = match self.days.get(day)? {
            Some(partition) => partition.get(&key).map_err(from_kv)?,
            None => None,
        };
        let row = row.ok_or_else(|| piece::malformed(&key))?;
        self.join_attempt(day, position, &row)
    }

    fn join_attempt(&self, day: Day, position: LogPosition, first: &[u8]) -> Result<Attempt> {
        let key = key::attempt(position);
        let row = self.join(day, &key, first)?;
        read_attempt(&row).map_err(|_| piece::malformed(&key))
    }

    /// Since when the log is complete, if a reader at this place can have
    /// missed what was removed: by retention, or by hand from the oldest days.
    fn removed_before(&self, after: LogPosition) -> Option<Timestamp> {
        let gone = *self.gone.lock();
        let expired = gone.before.filter(|_| after < gone.last).map(Day::start);
        expired.max(self.moved_before(after))
    }

    fn moved_before(&self, after: LogPosition) -> Option<Timestamp> {
        self.moved().filter(|oldest| after.0 < oldest.as_micros())
    }

    /// When the oldest day begins, if there were earlier ones that did not expire.
    fn moved(&self) -> Option<Timestamp> {
        let oldest = self.days.oldest()?;
        let first = (*self.first_day.lock())?;
        let expired = self.gone.lock().before;
        // Where positions are no times, they do not tell what came before.
        let timed = *self.untimed.lock() == Untimed::default();
        let moved = first < oldest && expired.is_none_or(|expired| expired < oldest);
        (moved && timed).then(|| oldest.start())
    }

    /// What is gone of the log, by retention or by hand: before which time, and
    /// up to which position.
    pub(super) fn removed(&self) -> Option<(Timestamp, LogPosition)> {
        let gone = *self.gone.lock();
        let moved = self.moved();
        let before = gone.before.map(Day::start).max(moved)?;
        let moved = LogPosition(moved.map_or(0, Timestamp::as_micros));
        Some((before, gone.last.max(moved)))
    }
}
