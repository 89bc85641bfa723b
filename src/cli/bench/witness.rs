//! Asks the receiver what arrived.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use super::pace::Pace;
use crate::cli::{bits::Bits, child::Receiver, receiver::Stats};

const POLL_EVERY: Duration = Duration::from_millis(50);

/// The receiver, as the one who knows what arrived.
pub(super) struct Witness {
    client: reqwest::Client,
    base: String,
}

impl Witness {
    pub(super) fn new(receiver: &Receiver) -> anyhow::Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().build()?,
            base: receiver.url(),
        })
    }

    pub(super) async fn stats(&self) -> anyhow::Result<Stats> {
        let body = self.get("/stats").await?.bytes().await?;
        Ok(serde_json::from_slice(&body)?)
    }

    pub(super) async fn reset(&self) -> anyhow::Result<()> {
        self.post("/reset").await
    }

    /// Has deliveries answered with this status from now on.
    pub(super) async fn answer_with(&self, status: u16) -> anyhow::Result<()> {
        self.post(&format!("/status/{status}")).await
    }

    /// The events that arrived at the path `/{path}`.
    pub(super) async fn arrived(&self, path: u32) -> anyhow::Result<Bits> {
        let body = self.get(&format!("/arrived/{path}")).await?.bytes().await?;
        Ok(Bits::from_bytes(&body))
    }

    /// Tells the pace what arrives, without end. An event has arrived when all
    /// its deliveries have.
    pub(super) async fn follow(&self, pace: &Pace, fan_out: u32) -> anyhow::Result<()> {
        let mut answer = self.get("/arrivals").await?;
        let mut line = Vec::new();
        let mut events = 0;
        while let Some(chunk) = answer.chunk().await? {
            for byte in chunk {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let deliveries: u64 = std::str::from_utf8(&line)?.parse()?;
                line.clear();
                let arrived = deliveries / u64::from(fan_out);
                pace.arrived(arrived.saturating_sub(events));
                events = arrived;
            }
        }
        anyhow::bail!("the receiver is gone")
    }

    /// Waits until so many deliveries arrived, or until none has for `patience`.
    pub(super) async fn settle(&self, expected: u64, patience: Duration) -> anyhow::Result<Stats> {
        let mut stats = self.stats().await?;
        let mut last_change = Instant::now();
        while stats.unique < expected && last_change.elapsed() < patience {
            sleep(POLL_EVERY).await;
            let now = self.stats().await?;
            if now.unique != stats.unique {
                last_change = Instant::now();
            }
            stats = now;
        }
        Ok(stats)
    }

    async fn post(&self, path: &str) -> anyhow::Result<()> {
        let request = self.client.post(format!("{}{path}", self.base));
        request.send().await?.error_for_status()?;
        Ok(())
    }

    async fn get(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        let request = self.client.get(format!("{}{path}", self.base));
        request.send().await.context("the receiver is gone")
    }
}
