//! What the scheduler asks of the store beside attempts.

use std::{sync::Arc, time::Duration};

use tracing::{error, info};

use super::{
    Endpoint,
    attempt::Attempts,
    fetch::{Fetch, FetchOutcome, Fetched},
};
use crate::{
    domain::SubscriptionId,
    storage::{self, Engine},
};

/// Deliveries cancelled by one write.
const CANCEL_PAGE: usize = 1_000;
/// Pause before a write that the full disk refused is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// Reads what the schedule wants.
pub(super) async fn fetch(store: &dyn Engine, fetch: Fetch) -> Fetched {
    let subscription = fetch.subscription;
    read(store, fetch).await.unwrap_or_else(|error| {
        if !is_told(&error) {
            error!(%subscription, %error, "could not read a queue");
        }
        Fetched {
            subscription,
            endpoint: None,
            page: None,
            outcome: FetchOutcome::Failed,
        }
    })
}

async fn read(store: &dyn Engine, fetch: Fetch) -> storage::Result<Fetched> {
    let subscription = fetch.subscription;
    let mut found = Fetched {
        subscription,
        endpoint: None,
        page: None,
        outcome: FetchOutcome::Done,
    };
    if fetch.endpoint {
        let Some(known) = store.find_subscription(subscription).await? else {
            found.outcome = FetchOutcome::Deleted;
            return Ok(found);
        };
        found.endpoint = Some(Arc::new(Endpoint::new(known)));
    }
    if let Some(range) = fetch.queue {
        found.page = Some(store.due(subscription, range.after, range.limit).await?);
    }
    Ok(found)
}

/// Cancels what waits for a deleted subscription.
pub(super) async fn cancel_pending(attempts: &Attempts, subscription: SubscriptionId) {
    let store = &attempts.store;
    loop {
        let now = attempts.clock.now();
        match store.cancel_pending(subscription, CANCEL_PAGE, now).await {
            Ok(0) => return,
            Ok(count) => info!(%subscription, count, "cancelled deliveries of no subscription"),
            Err(storage::Error::Full) => tokio::time::sleep(FULL_PAUSE).await,
            // The next scan finds what is left.
            Err(error) if is_told(&error) => return,
            Err(error) => return error!(%subscription, %error, "could not cancel deliveries"),
        }
    }
}

/// Whether the store says so itself, once when it goes and once when it is back.
pub(super) fn is_told(error: &storage::Error) -> bool {
    matches!(error, storage::Error::Unavailable(_))
}
