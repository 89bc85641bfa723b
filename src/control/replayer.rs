//! Makes the steps of the replays that are running, each at its own rate, and
//! counts what came of the deliveries that they began.
//!
//! What a replay has done stands in the store, so nothing is lost with this
//! loop. The owner of the subscription's queue makes the steps: there is one at
//! any time, but for a moment in which the store lets one step through.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::replays::Wanted;
use crate::{
    domain::{
        Clock, DeliveryFilter, DeliveryState, Outcomes, Replay, ReplayId, ReplayStep, Subscription,
    },
    storage::{Engine, Error, PageRequest, ReplayAdvance, ReplayChange, Resource, Result},
};

/// How often is looked for replays.
const LOOK: Duration = Duration::from_millis(200);
/// Events that a step looks at.
const EVENTS: usize = 500;
/// Deliveries that a step begins, at most.
const STEP: u32 = 50;
/// Deliveries that are counted at once.
const PAGE: usize = 1_000;
/// A count is followed by a pause of so many times as long as it took, and of
/// this at least.
const REST: u32 = 20;
const SHORTEST_REST: Duration = Duration::from_secs(1);
/// Pause after the store failed.
const PAUSE: Duration = Duration::from_secs(1);

/// When a replay is next worked on.
#[derive(Debug, Clone, Copy)]
struct Pace {
    step: Instant,
    count: Instant,
}

/// Works on replays until it is told to stop.
pub async fn replay(store: Arc<dyn Engine>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut replayer = Replayer {
        store,
        clock,
        paces: HashMap::new(),
    };
    let working = async {
        loop {
            let pause = match replayer.work().await {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::warn!(%error, "could not look for replays");
                    PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    stop.run_until_cancelled(working).await;
}

struct Replayer {
    store: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    paces: HashMap<ReplayId, Pace>,
}

impl Replayer {
    /// Works on every replay whose time has come.
    async fn work(&mut self) -> Result<()> {
        let mut running = self.store.running_replays().await?;
        running.retain(|replay| self.store.owns(replay.spec.subscription_id));
        self.paces
            .retain(|id, _| running.iter().any(|replay| replay.id == *id));
        for replay in running {
            let id = replay.id;
            if let Err(error) = self.work_on(replay).await {
                tracing::warn!(replay = %id, %error, "could not go on with a replay");
                let later = Instant::now() + PAUSE;
                self.paces.insert(
                    id,
                    Pace {
                        step: later,
                        count: later,
                    },
                );
            }
        }
        Ok(())
    }

    async fn work_on(&mut self, mut replay: Replay) -> Result<()> {
        let began = Instant::now();
        let fresh = Pace {
            step: began,
            count: began,
        };
        let mut pace = *self.paces.entry(replay.id).or_insert(fresh);
        // It may be due several times since it was looked at last.
        while !replay.all_begun && pace.step <= Instant::now() && began.elapsed() < LOOK {
            let before = replay.done;
            let Some(after) = self.step(&replay).await? else {
                return Ok(());
            };
            replay = after;
            pace.step += pause(
                replay.done.saturating_sub(before),
                replay.spec.rate_limit.get(),
            );
        }
        pace.step = pace.step.max(began);
        if pace.count <= Instant::now() {
            let counting = Instant::now();
            let count = ReplayChange::Count(self.count(&replay).await?);
            let now = self.clock.now();
            let counted = self
                .store
                .change_replay(&replay.tenant, replay.id, count, now);
            counted.await?;
            let rest = (counting.elapsed() * REST).max(SHORTEST_REST);
            pace.count = Instant::now() + rest;
        }
        self.paces.insert(replay.id, pace);
        Ok(())
    }

    /// Begins the next deliveries; `None` if the subscription is gone, with
    /// which the replay ends.
    async fn step(&self, replay: &Replay) -> Result<Option<Replay>> {
        let subscription = self.store.find_subscription(replay.spec.subscription_id);
        let Some(subscription) = subscription.await? else {
            return self.end(replay).await;
        };
        let advance = self.next_of(replay, &subscription).await?;
        match self.store.advance_replay(advance).await {
            Err(Error::NotFound(Resource::Subscription(_))) => self.end(replay).await,
            advanced => advanced.map(Some),
        }
    }

    async fn end(&self, replay: &Replay) -> Result<Option<Replay>> {
        tracing::info!(replay = %replay.id, "replay to a deleted subscription cancelled");
        let now = self.clock.now();
        let cancel = ReplayChange::Cancel;
        let ended = self
            .store
            .change_replay(&replay.tenant, replay.id, cancel, now);
        match ended.await {
            Ok(_) | Err(Error::NotChangeable(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next step: it ends with the last delivery that it may begin, else
    /// with the last event that it looked at.
    async fn next_of(&self, replay: &Replay, to: &Subscription) -> Result<ReplayAdvance> {
        let found = self.store.candidates(replay, EVENTS).await?;
        let wanted = Wanted::by(to);
        let mut events = Vec::new();
        for candidate in &found.items {
            let step = replay.step(to, &candidate.event_type, candidate.delivery.as_ref());
            if step != ReplayStep::Leave
                && wanted
                    .is_wanted(&*self.store, &replay.tenant, candidate)
                    .await?
            {
                events.push(candidate.event_id);
            }
        }
        let most = most_at_once(replay.spec.rate_limit.get());
        let up_to = if events.len() > most {
            events.truncate(most);
            events.last().copied()
        } else {
            found.next
        };
        Ok(ReplayAdvance {
            tenant: replay.tenant.clone(),
            id: replay.id,
            after: replay.after,
            events,
            up_to,
            now: self.clock.now(),
        })
    }

    /// What came of the deliveries that the replay began.
    async fn count(&self, replay: &Replay) -> Result<Outcomes> {
        let filter = DeliveryFilter {
            subscription_id: Some(replay.spec.subscription_id),
            event_types: replay.spec.event_types.clone(),
            accepted: replay.accepted(),
            ..DeliveryFilter::default()
        };
        let mut outcomes = Outcomes::default();
        let mut cursor = None;
        loop {
            let request = PageRequest { size: PAGE, cursor };
            let page = self.store.list_deliveries(&replay.tenant, &filter, request);
            let page = page.await?;
            for delivery in page.items.iter().filter(|found| replay.has_begun(found)) {
                match delivery.state {
                    DeliveryState::Succeeded => outcomes.succeeded += 1,
                    DeliveryState::Failed => outcomes.failed += 1,
                    DeliveryState::Cancelled => {}
                    DeliveryState::Pending
                    | DeliveryState::Delivering
                    | DeliveryState::Retrying => {
                        outcomes.open += 1;
                    }
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(outcomes);
            }
        }
    }
}

/// Deliveries that a step may begin, so that there are some steps a second.
fn most_at_once(rate: u32) -> usize {
    usize::try_from((rate / 5).clamp(1, STEP)).unwrap_or(1)
}

/// How long so many deliveries take at a rate, in deliveries per second.
fn pause(begun: u64, rate: u32) -> Duration {
    Duration::from_micros(begun.saturating_mul(1_000_000) / u64::from(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_whatever_a_step_begins() {
        assert_eq!(pause(50, 100), Duration::from_millis(500));
        assert_eq!(pause(1, 3), Duration::from_micros(333_333));
        assert_eq!(pause(0, 1), Duration::ZERO);
        assert_eq!([1, 4, 100, 10_000].map(most_at_once), [1, 1, 20, 50]);
    }
}
