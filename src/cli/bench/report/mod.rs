//! What a run came to. `json` writes it for programs, `table` for people.

mod json;
mod table;

use std::time::Duration;

pub(super) use self::{
    json::to_json,
    table::{micros, to_table},
};
use crate::cli::latency::{Latency, real};

/// What each name in the JSON object means.
pub(super) const NAMES: &str = concat!(
    include_str!("names.txt"),
    "\n",
    include_str!("scenarios.txt")
);

/// Everything a run measured. What was not measured is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) setup: Setup,
    pub(super) publish: Publish,
    pub(super) delivery: Option<Delivery>,
    pub(super) limit: Option<Limit>,
    pub(super) cpu: Cpu,
    pub(super) memory: Option<Memory>,
    pub(super) disk: Option<Disk>,
    /// Median of appending 4 KiB and syncing it.
    pub(super) fdatasync: Option<Duration>,
}

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Setup {
    pub(super) mode: &'static str,
    pub(super) concurrency: usize,
    pub(super) in_flight: Option<usize>,
    pub(super) rate: Option<f64>,
    pub(super) payload_size: usize,
    pub(super) fan_out: u32,
    pub(super) duration: Duration,
}

/// How publishing went.
#[derive(Debug, Clone, Default)]
pub(super) struct Publish {
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) first_refusal: Option<String>,
    /// From the first event to the last acknowledgement.
    pub(super) elapsed: Duration,
    pub(super) latency: Latency,
}

/// What arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivery {
    pub(super) unique: u64,
    /// Acknowledged but not arrived.
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) bad_signatures: u64,
    /// From the first event published to the last arrival.
    pub(super) elapsed: Duration,
    /// From publishing to arrival.
    pub(super) latency: Latency,
}

/// What a client library can do without a server.
#[derive(Debug, Clone, Default)]
pub(super) struct Limit {
    pub(super) per_second: f64,
    pub(super) latency: Latency,
}

/// CPU time spent while events were published and delivered.
#[derive(Debug, Clone, Default)]
pub(super) struct Cpu {
    pub(super) server: Option<Duration>,
    pub(super) client: Option<Duration>,
    pub(super) receiver: Option<Duration>,
}

/// Resident memory of the server while events were published, in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub(super) start: u64,
    pub(super) halfway: u64,
    pub(super) end: u64,
    pub(super) max: u64,
    /// The most since the process began.
    pub(super) peak: u64,
}

/// Size of the data folder, in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    pub(super) before: u64,
    pub(super) after: u64,
}

impl Cpu {
    /// The time spent since an earlier moment.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let spent = |now: Option<Duration>, then| Some(now?.saturating_sub(then?));
        Self {
            server: spent(self.server, earlier.server),
            client: spent(self.client, earlier.client),
            receiver: spent(self.receiver, earlier.receiver),
        }
    }
}

impl Report {
    /// Acknowledged events per second.
    pub(super) fn publish_rate(&self) -> f64 {
        per_second(self.publish.acknowledged, self.publish.elapsed)
    }

    /// Deliveries that arrived per second.
    pub(super) fn delivery_rate(&self) -> Option<f64> {
        let delivery = self.delivery.as_ref()?;
        Some(per_second(delivery.unique, delivery.elapsed))
    }

    /// Deliveries per second as a share of the bare limit.
    pub(super) fn ratio_to_limit(&self) -> Option<f64> {
        Some(self.delivery_rate()? / self.limit.as_ref()?.per_second)
    }

    /// Disk that an acknowledged event takes, with its deliveries and attempts.
    pub(super) fn disk_per_event(&self) -> Option<f64> {
        let disk = self.disk.as_ref()?;
        Some(self.per_event(real(disk.after) - real(disk.before)))
    }

    /// Microseconds of CPU time for each acknowledged event.
    pub(super) fn cpu_per_event(&self, time: Option<Duration>) -> Option<f64> {
        Some(self.per_event(time?.as_secs_f64() * 1e6))
    }

    fn per_event(&self, amount: f64) -> f64 {
        amount / real(self.publish.acknowledged.max(1))
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        return 0.0;
    }
    real(count) / elapsed.as_secs_f64()
}

#[cfg(test)]
mod tests;
