//! The bare limit: signed POSTs by a client library as others use it, to the
//! receiver that is delivered to, with nothing stored and nothing decided.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use http::header::CONTENT_TYPE;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::pace::Pace;
use crate::cli::{
    clock,
    latency::{Latency, new_histogram, real},
    receiver::Key,
    stamp::Stamp,
};

/// What is posted.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) url: String,
    pub(super) secret: String,
    pub(super) payload_size: usize,
    pub(super) concurrency: usize,
}

/// What one or more phases of posting came to.
pub(super) struct Limit {
    posted: u64,
    elapsed: Duration,
    latency_nanos: Histogram<u64>,
}

impl Limit {
    pub(super) fn new() -> Self {
        Self {
            posted: 0,
            elapsed: Duration::ZERO,
            latency_nanos: new_histogram(),
        }
    }

    /// Posts for `duration` as fast as answers come, and adds to what was
    /// measured before.
    pub(super) async fn measure(&mut self, plan: &Plan, duration: Duration) -> anyhow::Result<()> {
        let shared = Arc::new(Posting {
            client: client()?,
            key: Key::new(&plan.secret)?,
            plan: plan.clone(),
            pace: Pace::start(duration, None, None),
            latency_nanos: Mutex::new(new_histogram()),
        });
        let mut posts = JoinSet::new();
        for _ in 0..plan.concurrency {
            posts.spawn(post(Arc::clone(&shared)));
        }
        while let Some(ended) = posts.join_next().await {
            ended??;
        }
        let elapsed = clock::monotonic_nanos() - shared.pace.start_nanos();
        self.elapsed += Duration::from_nanos(elapsed);
        let latency = shared.latency_nanos.lock();
        self.posted += latency.len();
        self.latency_nanos.add(&*latency)?;
        Ok(())
    }

    /// Answered posts per second.
    pub(super) fn per_second(&self) -> f64 {
        real(self.posted) / self.elapsed.as_secs_f64()
    }

    /// From sending to the end of the answer.
    pub(super) fn latency(&self) -> Latency {
        Latency::of_nanos(&self.latency_nanos)
    }
}

struct Posting {
    client: reqwest::Client,
    key: Key,
    plan: Plan,
    pace: Pace,
    latency_nanos: Mutex<Histogram<u64>>,
}

/// A client that does as little as the one of `dispatch`.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .tcp_nodelay(true)
        .build()
}

async fn post(shared: Arc<Posting>) -> anyhow::Result<()> {
    while let Some(stamp) = shared.pace.turn().await {
        let id = format!("evt_{:026}", stamp.sequence);
        let timestamp = clock::unix_seconds().to_string();
        let body = envelope(&id, stamp, shared.plan.payload_size);
        let request = shared
            .client
            .post(&shared.plan.url)
            .header(CONTENT_TYPE, "application/json")
            .header("user-agent", "Postrider/bench")
            .header("webhook-id", &id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-attempt", "1")
            .header(
                "webhook-signature",
                shared.key.sign_standard(&id, &timestamp, &body),
            )
            .header("x-webhook-id", &id)
            .header("x-webhook-timestamp", &timestamp)
            .header("x-webhook-signature", shared.key.sign_body(&body))
            .body(body);
        let answer = request.send().await.context("the receiver is gone")?;
        let status = answer.status();
        ensure!(status.is_success(), "the receiver answered {status}");
        answer.bytes().await?;
        let latency = clock::monotonic_nanos().saturating_sub(stamp.sent_nanos);
        shared.latency_nanos.lock().saturating_record(latency);
    }
    Ok(())
}

/// A body like that of a delivery.
fn envelope(id: &str, stamp: Stamp, payload_size: usize) -> Vec<u8> {
    let mut body = format!(
        "{{\"id\":\"{id}\",\"type\":\"{}\",\"createdAt\":\"2024-01-15T10:00:00.000Z\",\"data\":",
        super::events::EVENT_TYPE
    )
    .into_bytes();
    stamp.write_payload(payload_size, &mut body);
    body.push(b'}');
    body
}
