//! Removes what expired: once at the start, then again and again.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    config::OfTenants,
    domain::{Clock, Timestamp},
    storage::Engine,
};

/// How often is looked for what expired. Days end once a day, but a day that
/// was kept for a pending delivery may go at any time.
const EVERY: Duration = Duration::from_mins(10);

/// Keeps what is younger than `retention`, and of some tenants what is younger
/// than theirs, until it is told to stop.
pub(super) async fn keep(
    store: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    retention: Duration,
    tenants: OfTenants<Duration>,
    stop: CancellationToken,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let before = clock.now().since(Timestamp::MIN.after(retention));
        match store.remove_expired(Timestamp::MIN.after(before)).await {
            Ok(removed) if removed.days + removed.kept > 0 => tracing::info!(
                days = removed.days,
                bytes = removed.bytes,
                kept = removed.kept,
                "removed what expired"
            ),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "could not remove what expired"),
        }
        for (tenant, retention) in &tenants {
            let before = clock.now().since(Timestamp::MIN.after(*retention));
            let removed = store.remove_of_tenant(tenant, Timestamp::MIN.after(before));
            match removed.await {
                Ok(removed) if removed.events > 0 => tracing::info!(
                    %tenant,
                    events = removed.events,
                    kept = removed.kept,
                    "removed what expired of a tenant"
                ),
                Ok(_) => {}
                Err(error) => tracing::warn!(%tenant, %error, "could not remove what expired"),
            }
        }
    }
}
