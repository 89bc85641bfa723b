//! Replays: counted, created, looked at and cancelled. What makes their steps
//! is in `replayer`.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio_util::sync::CancellationToken;

use super::{Control, Error, Filter, List, Listed, Result, Subject};
use crate::{
    domain::{
        Invalid, Replay, ReplayId, ReplaySpec, ReplayState, ReplayStep, Subscription, TenantId,
    },
    storage::{self, Candidate, Engine, ReplayChange, View},
};

/// Events that are looked at at once where they are counted.
const PAGE: usize = 1_000;
/// How often a replay that is watched is looked at.
const LOOK: Duration = Duration::from_millis(250);

impl Control {
    /// Counts what a replay is to begin and creates it; only counts if that is
    /// all that is wanted.
    pub async fn create_replay(
        &self,
        tenant: &TenantId,
        spec: ReplaySpec,
        validate_only: bool,
    ) -> Result<Replay> {
        let subscription = self.store.subscription(tenant, spec.subscription_id);
        let subscription = subscription.await?;
        let now = self.clock.now();
        let id = ReplayId::new(now, self.random.bits());
        let mut replay = Replay::new(id, tenant.clone(), spec, now);
        let mut counting = replay.clone();
        let wanted = Wanted::by(&subscription);
        loop {
            let page = self.store.candidates(&counting, PAGE).await?;
            for found in &page.items {
                let delivery = found.delivery.as_ref();
                let step = replay.step(&subscription, &found.event_type, delivery);
                let begins = step == ReplayStep::Begin;
                if begins && wanted.is_wanted(&*self.store, tenant, found).await? {
                    replay.total += 1;
                }
            }
            if page.next.is_none() {
                break;
            }
            counting.after = page.next;
        }
        if !validate_only {
            self.store.create_replay(replay.clone()).await?;
        }
        Ok(replay)
    }

    /// Returns a replay.
    pub async fn replay(&self, tenant: &TenantId, id: ReplayId) -> Result<Replay> {
        Ok(self.store.replay(tenant, id).await?)
    }

    /// Lists replays, newest first.
    pub async fn list_replays(&self, tenant: &TenantId, list: &List) -> Result<Listed<Replay>> {
        let scope = ("replays", tenant);
        let page = list.request(&scope)?;
        let page = self.store.list_replays(tenant, page).await?;
        Ok(Listed::new(page, &scope))
    }

    /// Cancels a replay that has not ended.
    pub async fn cancel_replay(&self, tenant: &TenantId, id: ReplayId) -> Result<Replay> {
        let change = ReplayChange::Cancel;
        let now = self.clock.now();
        Ok(self.store.change_replay(tenant, id, change, now).await?)
    }

    /// Streams a replay as it is now and whenever it has changed, until it has
    /// ended; fails when the server drains.
    pub async fn watch_replay(
        &self,
        tenant: &TenantId,
        id: ReplayId,
        draining: CancellationToken,
    ) -> Result<impl Stream<Item = Result<Replay>> + Send + use<>> {
        let first = self.replay(tenant, id).await?;
        let watch = Watch {
            store: self.store.clone(),
            draining,
            shown: None,
            next: Some(first),
        };
        Ok(stream::try_unfold(watch, Watch::step))
    }
}

/// Which events a subscription wants that it had no delivery of.
pub(super) struct Wanted(Option<std::result::Result<Filter, Invalid>>);

impl Wanted {
    pub(super) fn by(subscription: &Subscription) -> Self {
        Self(subscription.spec.filter.as_ref().map(Filter::compile))
    }

    /// Whether the filter lets it through, as when it would be published now.
    pub(super) async fn is_wanted(
        &self,
        store: &dyn Engine,
        tenant: &TenantId,
        candidate: &Candidate,
    ) -> storage::Result<bool> {
        let Some(filter) = self.0.as_ref().filter(|_| candidate.delivery.is_none()) else {
            return Ok(true);
        };
        let event = match store.event(tenant, candidate.event_id, View::Full).await {
            Err(storage::Error::NotFound(_)) => return Ok(false),
            event => event?,
        };
        let subject = Subject::from(&event);
        let answer = filter.as_ref().map(|filter| filter.matches(&subject));
        Ok(answer.is_ok_and(|answer| answer == Ok(true)))
    }
}

struct Watch {
    store: Arc<dyn Engine>,
    draining: CancellationToken,
    /// What was shown last.
    shown: Option<Replay>,
    /// What is to be shown.
    next: Option<Replay>,
}

impl Watch {
    async fn step(mut self) -> Result<Option<(Replay, Self)>> {
        loop {
            if let Some(next) = self.next.take() {
                self.shown = Some(next.clone());
                return Ok(Some((next, self)));
            }
            let Some(shown) = self.shown.as_ref() else {
                return Ok(None);
            };
            if shown.state != ReplayState::Running {
                return Ok(None);
            }
            let slept = tokio::time::sleep(LOOK);
            if self.draining.run_until_cancelled(slept).await.is_none() {
                return Err(Error::Unavailable);
            }
            let now = self.store.replay(&shown.tenant, shown.id).await?;
            self.next = (now != *shown).then_some(now);
        }
    }
}
