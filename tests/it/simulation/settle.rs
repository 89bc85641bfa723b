//! The end of a world: time goes on until everything is settled, and what the store
//! says then is written down.

use std::{sync::Arc, time::Duration};

use postrider::{
    control::{Control, EventFilter, List, Listed, Result, View},
    domain::{
        Attempt, Delivery, DeliveryFilter, DeliveryState, Replay, ReplayState, StatsQuery,
        TenantId, TimeRange,
    },
    storage::{Engine, LogPosition},
};
use tokio::time::sleep;

use super::{history::Final, scene::Scene};

/// How often time is moved on. Whatever the retries, once receivers are well one
/// attempt is enough; what is held back for its order goes one by one.
const ROUNDS: u32 = 20;
/// More than any retry is waited for.
const DAY: Duration = Duration::from_hours(25);
const PAGE: usize = 7;

/// Waits until everything is settled, and writes down what there is.
pub async fn settle(scene: &Scene, control: &Control, store: &Arc<dyn Engine>) {
    let mut open = Vec::new();
    for round in 0..ROUNDS {
        sleep(Duration::from_secs(if round < 2 { 10 } else { 40 })).await;
        open = unsettled(scene, control).await;
        if open.is_empty() {
            break;
        }
        scene.clocks.forward(DAY);
        let moment = scene.clocks.moment();
        scene.history.lock().jumps.push(moment);
    }
    for what in open {
        let told = format!("never settled: {what}");
        scene.history.lock().violations.push(told);
    }
    let end = read(scene, control, store).await;
    match end {
        Ok(end) => scene.history.lock().end = end,
        Err(error) => {
            let told = format!("cannot be read at the end: {error}");
            scene.history.lock().violations.push(told);
        }
    }
}

async fn unsettled(scene: &Scene, control: &Control) -> Vec<String> {
    let mut open = Vec::new();
    for tenant in scene.tenants() {
        let deliveries = deliveries(control, &tenant, DeliveryFilter::default()).await;
        let deliveries = deliveries.unwrap_or_default();
        let waiting = deliveries.iter().filter(|found| !found.state.is_settled());
        open.extend(waiting.map(|found| format!("{found:?}")));
        let replays = replays(control, &tenant).await.unwrap_or_default();
        let running = replays.iter();
        let running = running.filter(|replay| replay.state == ReplayState::Running);
        open.extend(running.map(|replay| format!("{replay:?}")));
    }
    open
}

async fn read(scene: &Scene, control: &Control, store: &Arc<dyn Engine>) -> Result<Final> {
    let mut end = Final::default();
    for tenant in scene.tenants() {
        let events = pages(async |list| {
            let filter = EventFilter {
                types: Vec::new(),
                accepted: TimeRange::ALL,
            };
            control
                .list_events(&tenant, &filter, View::Full, list)
                .await
        });
        end.events.extend(events.await?);
        let all = deliveries(control, &tenant, DeliveryFilter::default()).await?;
        end.deliveries.extend(all);
        for state in [
            DeliveryState::Succeeded,
            DeliveryState::Failed,
            DeliveryState::Cancelled,
        ] {
            let filter = DeliveryFilter {
                states: vec![state],
                ..DeliveryFilter::default()
            };
            let found = deliveries(control, &tenant, filter).await?;
            end.by_state.extend(found);
        }
        let listed = pages(async |list| {
            let filter = DeliveryFilter::default();
            control.list_attempts(&tenant, &filter, list).await
        });
        let listed: Vec<Arc<Attempt>> = listed.await?;
        end.listed.extend(listed);
        let subscriptions = pages(async |list| control.list_subscriptions(&tenant, list).await);
        end.subscriptions.extend(subscriptions.await?);
        end.replays.extend(replays(control, &tenant).await?);
        let query = StatsQuery {
            subscription_id: None,
            event_type: None,
            started: TimeRange::ALL,
            by_subscription: false,
            by_event_type: false,
            by_span: None,
        };
        for (_, counts) in control.delivery_stats(&tenant, &query).await? {
            end.counts.entry(tenant.clone()).or_default().merge(&counts);
        }
    }
    end.due = store.counts().await?.totals.due;
    let mut after = LogPosition::default();
    loop {
        let slice = store.read_log(after, 100).await?;
        let Some((last, _)) = slice.attempts.last() else {
            break;
        };
        after = *last;
        end.log
            .extend(slice.attempts.into_iter().map(|(_, attempt)| attempt));
    }
    Ok(end)
}

async fn deliveries(
    control: &Control,
    tenant: &TenantId,
    filter: DeliveryFilter,
) -> Result<Vec<Delivery>> {
    pages(async |list| control.list_deliveries(tenant, &filter, list).await).await
}

async fn replays(control: &Control, tenant: &TenantId) -> Result<Vec<Replay>> {
    pages(async |list| control.list_replays(tenant, list).await).await
}

/// Every page of a list.
async fn pages<T>(list: impl AsyncFn(&List) -> Result<Listed<T>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut request = List {
        page_size: PAGE,
        page_token: String::new(),
    };
    loop {
        let page = list(&request).await?;
        all.extend(page.items);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(all);
        }
    }
}
