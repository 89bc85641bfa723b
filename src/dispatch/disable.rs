//! Disables subscriptions whose endpoint is gone, or that failed for too long.
//!
//! What decides is durable, so a restart or another owner of the queue changes
//! nothing: the answer, or what was counted of attempts.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::reads;
use crate::{
    domain::{
        Clock, DisableAfter, Next, State, StateCode, Subscription, SubscriptionId, Timestamp,
    },
    storage::{self, Engine},
};

/// How often disabling is tried if others change the subscription meanwhile, or
/// the store cannot be reached, and the pause after that.
const TRIES: usize = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// What it takes to disable.
pub(super) struct Disabling {
    store: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    after: Option<DisableAfter>,
    /// When the attempts of subscriptions that fail were looked at last.
    looked: Mutex<HashMap<SubscriptionId, Timestamp>>,
}

/// Why a subscription is to be disabled.
#[derive(Debug, Clone, Copy)]
enum Why {
    Gone,
    Failing(DisableAfter),
}

impl Disabling {
    pub(super) fn new(
        store: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        after: Option<DisableAfter>,
    ) -> Self {
        Self {
            store,
            clock,
            after,
            looked: Mutex::default(),
        }
    }

    /// Disables the subscription that was called, if what came of it says so, and
    /// it does not have another endpoint by now.
    pub(super) async fn attempted(&self, called: &Subscription, next: Next) {
        let why = match next {
            Next::Succeed => None,
            Next::Disable => Some(Why::Gone),
            Next::RetryAt(_) | Next::Exhaust => self.look(called.id).map(Why::Failing),
        };
        let Some(why) = why else {
            return;
        };
        for _ in 0..TRIES {
            match self.disable(called, why).await {
                Ok(()) => return,
                Err(storage::Error::VersionMismatch) => {}
                Err(error) if reads::is_told(&error) => match why {
                    // It may have been said for the last time.
                    Why::Gone => sleep(PAUSE).await,
                    // The next failure looks again.
                    Why::Failing(_) => return,
                },
                Err(error) => {
                    error!(subscription = %called.id, %error, "could not disable subscription");
                    return;
                }
            }
        }
        warn!(subscription = %called.id, "gave up disabling a subscription");
    }

    /// Whether it is time to look at what came of the attempts of a subscription.
    fn look(&self, id: SubscriptionId) -> Option<DisableAfter> {
        let after = self.after?;
        let now = self.clock.now();
        let mut looked = self.looked.lock();
        looked.retain(|_, at| now.since(*at) < after.pause());
        looked.insert(id, now).is_none().then_some(after)
    }

    async fn disable(&self, called: &Subscription, why: Why) -> storage::Result<()> {
        let Some(current) = self.store.find_subscription(called.id).await? else {
            return Ok(());
        };
        if current.state == State::Disabled || current.spec.url != called.spec.url {
            return Ok(());
        }
        let now = self.clock.now();
        let (code, message) = match why {
            Why::Gone => (StateCode::Gone, "the endpoint answered 410 Gone".to_owned()),
            Why::Failing(after) => {
                let query = after.history(&current, now);
                let history = self.store.stats(&current.tenant, &query, usize::MAX);
                let Some(since) = after.failing_since(&history.await?, now) else {
                    return Ok(());
                };
                let message = format!("nothing but failures since {since}");
                (StateCode::Failing, message)
            }
        };
        info!(subscription = %called.id, reason = message, "disabling subscription");
        let disabled = current.with_state(State::Disabled, code, message, now);
        let expected = current.version;
        self.store.replace_subscription(disabled, expected).await
    }
}
