//! CPU time and memory of a process, from Linux's /proc.

use std::{fs, future, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// CPU time that a process has used, in user and kernel mode.
pub(super) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = cpu_ticks(&stat)?;
    let nanos_per_tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    Some(Duration::from_nanos(ticks * nanos_per_tick))
}

/// Resident memory of a process over time, in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    samples: Vec<u64>,
}

impl Memory {
    /// Samples until it is dropped; nothing if the process is not known.
    pub(super) async fn watch(&mut self, pid: Option<u32>) {
        let Some(pid) = pid else {
            return future::pending().await;
        };
        let mut ticks = interval(SAMPLE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            self.samples.extend(status_bytes(pid, "VmRSS:"));
        }
    }

    pub(super) fn start(&self) -> Option<u64> {
        self.samples.first().copied()
    }

    pub(super) fn halfway(&self) -> Option<u64> {
        self.samples.get(self.samples.len() / 2).copied()
    }

    pub(super) fn end(&self) -> Option<u64> {
        self.samples.last().copied()
    }

    pub(super) fn max(&self) -> Option<u64> {
        self.samples.iter().max().copied()
    }

    /// How far it rose above its start.
    pub(super) fn growth(&self) -> Option<u64> {
        Some(self.max()? - self.start()?)
    }
}

/// The most memory that a process ever had, in bytes.
pub(super) fn peak_memory(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    kibibytes(&status, name)
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(number * 1024)
}

/// `utime` and `stime`; the name before them may hold anything, even a `)`.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut tick = || fields.next()?.parse::<u64>().ok();
    Some(tick()? + tick()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_behind_any_name() {
        let stat = "7 (a) b 1) S 1 7 7 0 -1 4194560 10 0 0 0 120 30 0 0 20 0 4 0 99";
        assert_eq!(cpu_ticks(stat), Some(150));
        assert_eq!(cpu_ticks("nonsense"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(1024 * 1024));
        assert_eq!(kibibytes(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(peak_memory(std::process::id()).is_some_and(|bytes| bytes > 0));
        assert!(cpu_time(std::process::id()).is_some());
    }
}
