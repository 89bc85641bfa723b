//! Replays: kept in the catalog; the deliveries they begin are written to the
//! days of their events.
//!
//! A batch is whole in one partition only, so a step writes the days first and
//! then how far the replay has come. After a crash in between the step is
//! repeated, and finds by their chains what it had begun.

use std::{ops::Bound, sync::Arc};

use async_trait::async_trait;

use super::{
    committer::Committer,
    day::{Day, from_kv},
    group::Group,
    key::{self, Tag},
    kv::{Batch, Order, Step},
    piece,
    row::{DeliveryRow, EventRow, read_replay, write_replay},
    state::State,
    store::Store,
    write::Write,
};
use crate::{
    domain::{
        DeliveryId, EventId, Replay, ReplayId, ReplayState, ReplayStep, Subscription, TenantId,
        Timestamp, Trigger,
    },
    storage::{
        Candidate, Candidates, Cursor, Error, Page, PageRequest, ReplayAdvance, ReplayChange,
        Replays, Resource, Result,
        replay::ordinal_of,
        walk::{self, ids},
    },
};

/// What is to be written of a replay.
pub(super) enum ReplayWrite {
    /// See [`Replays::create_replay`].
    Create(Box<Replay>),
    /// See [`Replays::advance_replay`].
    Advance(ReplayAdvance),
    /// See [`Replays::change_replay`].
    Change(TenantId, ReplayId, ReplayChange, Timestamp),
}

#[async_trait]
impl Replays for Store {
    async fn create_replay(&self, replay: Replay) -> Result<()> {
        let create = ReplayWrite::Create(Box::new(replay));
        self.write(|reply| Write::Replay(create, reply)).await?;
        Ok(())
    }

    async fn replay(&self, tenant: &TenantId, id: ReplayId) -> Result<Replay> {
        let tenant = tenant.clone();
        self.read(move |state| state.replay(&tenant, id)).await
    }

    async fn list_replays(&self, tenant: &TenantId, page: PageRequest) -> Result<Page<Replay>> {
        let tenant = tenant.clone();
        self.read(move |state| state.list_replays(&tenant, &page))
            .await
    }

    async fn running_replays(&self) -> Result<Vec<Replay>> {
        self.read(State::running_replays).await
    }

    async fn candidates(&self, replay: &Replay, limit: usize) -> Result<Candidates> {
        let replay = replay.clone();
        self.read(move |state| state.candidates(&replay, limit))
            .await
    }

    async fn advance_replay(&self, advance: ReplayAdvance) -> Result<Replay> {
        let advance = ReplayWrite::Advance(advance);
        self.write(|reply| Write::Replay(advance, reply)).await
    }

    async fn change_replay(
        &self,
        tenant: &TenantId,
        id: ReplayId,
        change: ReplayChange,
        now: Timestamp,
    ) -> Result<Replay> {
        let change = ReplayWrite::Change(tenant.clone(), id, change, now);
        self.write(|reply| Write::Replay(change, reply)).await
    }
}

impl State {
    fn replay(&self, tenant: &TenantId, id: ReplayId) -> Result<Replay> {
        let key = key::replay(tenant, id);
        let row = piece::get(&*self.catalog()?, &key)?;
        let row = row.ok_or(Error::NotFound(Resource::Replay(id)))?;
        read_replay(tenant.clone(), id, &row).map_err(|_| piece::malformed(&key))
    }

    fn list_replays(&self, tenant: &TenantId, page: &PageRequest) -> Result<Page<Replay>> {
        let below = match &page.cursor {
            None => Bound::Included([0xff; 16]),
            Some(Cursor(bytes)) => {
                let id = bytes.as_slice().try_into();
                Bound::Excluded(id.map_err(|_| Error::Corrupt("cursor".to_owned()))?)
            }
        };
        let bounds = (
            Bound::Included(key::replay(tenant, ReplayId::from_bytes([0; 16]))),
            below.map(|id| key::replay(tenant, ReplayId::from_bytes(id))),
        );
        let mut found = self.scan_replays(bounds, Order::Backwards, page.size + 1)?;
        let more = found.len() > page.size;
        found.truncate(page.size);
        let last = found.last().filter(|_| more);
        let next = last.map(|last| Cursor(last.id.to_bytes().to_vec()));
        Ok(Page { items: found, next })
    }

    fn running_replays(&self) -> Result<Vec<Replay>> {
        let mut all = self.scan_replays(key::every(Tag::Replay), Order::Forwards, usize::MAX)?;
        all.retain(|replay| replay.state == ReplayState::Running);
        all.sort_by_key(|replay| replay.id);
        Ok(all)
    }

    fn scan_replays(
        &self,
        bounds: super::kv::Bounds,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Replay>> {
        let catalog = self.catalog()?;
        let mut rows = Vec::new();
        let visit = &mut |key: &[u8], first: &[u8]| {
            rows.push((key.to_vec(), first.to_vec()));
            if rows.len() < limit {
                Step::Continue(())
            } else {
                Step::Break(())
            }
        };
        catalog.scan(bounds, order, visit).map_err(from_kv)?;
        let replays = rows.into_iter().map(|(key, first)| {
            let malformed = || piece::malformed(&key);
            let (tenant, id) = key::named_of(&key).ok_or_else(malformed)?;
            let id = ReplayId::from_bytes(id.try_into().map_err(|_| malformed())?);
            let row = piece::join(&*catalog, &key, &first)?;
            read_replay(tenant, id, &row).map_err(|_| malformed())
        });
        replays.collect()
    }

    fn candidates(&self, replay: &Replay, limit: usize) -> Result<Candidates> {
        let (mut first, last) = ids(replay.accepted(), None);
        if let Some(after) = replay.after {
            first = first.max(walk::number(DeliveryId::new(after, u16::MAX)) + 1);
        }
        let mut found = Candidates {
            items: Vec::new(),
            next: None,
        };
        let mut read = 0;
        for day in self.days.all()? {
            if first > last || walk::first_id(day.next().start()) <= first {
                continue;
            }
            let (oldest, newest) = (first.to_be_bytes(), last.to_be_bytes());
            let (oldest, newest) = (EventId::from_bytes(oldest), EventId::from_bytes(newest));
            for (key, row) in self.events_of_day(replay, day, (oldest, newest), limit - read)? {
                let id = key::event_of(&key).ok_or_else(|| piece::malformed(&key))?;
                let row = self.join(day, &key, &row)?;
                let row = EventRow::read(replay.tenant.clone(), id, &row)
                    .map_err(|_| piece::malformed(&key))?;
                read += 1;
                found.next = Some(id);
                found.items.extend(self.candidate(replay, row)?);
            }
            if read == limit {
                break;
            }
        }
        Ok(found)
    }

    fn events_of_day(
        &self,
        replay: &Replay,
        day: Day,
        (first, last): (EventId, EventId),
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = Vec::new();
        let Some(partition) = self.days.get(day)? else {
            return Ok(rows);
        };
        let bounds = key::events(&replay.tenant, first, last);
        let visit = &mut |key: &[u8], row: &[u8]| {
            rows.push((key.to_vec(), row.to_vec()));
            if rows.len() < limit {
                Step::Continue(())
            } else {
                Step::Break(())
            }
        };
        partition
            .scan(bounds, Order::Forwards, visit)
            .map_err(from_kv)?;
        Ok(rows)
    }

    /// What a replay has to know of an event; nothing if that is the sample of
    /// a test.
    fn candidate(&self, replay: &Replay, row: EventRow) -> Result<Option<Candidate>> {
        let id = row.event.id;
        if row.event.is_erased() {
            return Ok(None);
        }
        if let Some(first) = row.subscriptions.first() {
            let first = self.delivery_row(*first, DeliveryId::new(id, 0))?;
            if first.is_some_and(|first| first.delivery.trigger == Trigger::Test) {
                return Ok(None);
            }
        }
        let subscription = replay.spec.subscription_id;
        let delivery = match ordinal_of(&row.subscriptions, subscription) {
            Some(ordinal) => self.delivery_row(subscription, DeliveryId::new(id, ordinal))?,
            None => None,
        };
        Ok(Some(Candidate {
            event_id: id,
            event_type: row.event.event_type,
            delivery: delivery.map(|row| self.shown(row.delivery)),
        }))
    }
}

impl Committer {
    /// Writes what is asked for of a replay, and returns that.
    pub(super) fn write_replay(&mut self, write: ReplayWrite) -> Result<Replay> {
        self.check_health()?;
        match write {
            ReplayWrite::Create(replay) => {
                self.state.admit(0)?;
                self.put_replay(*replay)
            }
            ReplayWrite::Advance(advance) => self.advance_replay(&advance),
            ReplayWrite::Change(tenant, id, change, now) => {
                let before = self.state.replay(&tenant, id)?;
                self.put_replay(change.of(&before, now)?)
            }
        }
    }

    fn advance_replay(&mut self, advance: &ReplayAdvance) -> Result<Replay> {
        let state = Arc::clone(&self.state);
        let replay = state.replay(&advance.tenant, advance.id)?;
        if !replay.is_at(advance.after) {
            return Ok(replay);
        }
        let subscription = replay.spec.subscription_id;
        let found = state.subscriptions.read().find(subscription).cloned();
        let found = found.ok_or(Error::NotFound(Resource::Subscription(subscription)))?;
        let mut group = Group::new(&state, self.last_position);
        let mut begun = 0;
        for event in &advance.events {
            let counts = group.replay(&replay, &found, *event, advance.now)?;
            begun += u64::from(counts);
        }
        state.admit(group.size())?;
        self.commit(group, &[])?;
        self.put_replay(replay.advanced(begun, advance.up_to, advance.now))
    }

    fn put_replay(&self, replay: Replay) -> Result<Replay> {
        let key = key::replay(&replay.tenant, replay.id);
        let mut batch = Batch::default();
        piece::remove(&*self.catalog, &mut batch, key.clone())?;
        piece::put(&mut batch, key, &write_replay(&replay));
        self.commit_catalog(batch)?;
        Ok(replay)
    }
}

impl Group<'_> {
    /// Begins the delivery of an event, if a replay does that; whether it
    /// counts as begun.
    fn replay(
        &mut self,
        replay: &Replay,
        subscription: &Subscription,
        id: EventId,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(mut event) = self.state.event_row(&replay.tenant, id)? else {
            return Ok(false);
        };
        if event.event.is_erased() {
            return Ok(false);
        }
        let ordinal = ordinal_of(&event.subscriptions, subscription.id);
        let row = match ordinal {
            Some(ordinal) => self.delivery(subscription.id, DeliveryId::new(id, ordinal))?,
            None => None,
        };
        let shown = row
            .as_ref()
            .map(|row| self.state.shown(row.delivery.clone()));
        match replay.step(subscription, &event.event.event_type, shown.as_ref()) {
            ReplayStep::Leave => return Ok(false),
            ReplayStep::Count => return Ok(true),
            ReplayStep::Begin => {}
        }
        let (was_due, row) = if let Some((row, shown)) = row.zip(shown) {
            let Ok(delivery) = replay.again(&shown, now) else {
                return Ok(false);
            };
            (row.delivery.due, DeliveryRow { delivery, ..row })
        } else {
            let Some(ordinal) = event.add(subscription.id) else {
                return Ok(false);
            };
            let batch = self.batch(Day::of_event(id));
            piece::put(batch, key::event(&replay.tenant, id), &event.to_bytes());
            let row = DeliveryRow {
                tenant: replay.tenant.clone(),
                delivery: replay.first(&event.event, ordinal, now),
                attempts: Vec::new(),
            };
            (None, row)
        };
        self.reschedule(was_due, row);
        Ok(true)
    }
}
