//! What the good subscriptions noticed of those in trouble.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::cli::{
    bench::report::micros,
    duration::show,
    figure::{bytes, count},
    latency::Latency,
};

/// What a run of pairs came to.
#[derive(Debug, Serialize)]
pub(in crate::cli::bench::scenario) struct Report {
    pub(super) scenario: String,
    pub(super) subscriptions: u32,
    pub(super) troubled: u32,
    pub(super) rate_per_s: f64,
    pub(super) duration_s: f64,
    /// A calm one and a troubled one in turn.
    pub(super) phases: Vec<Phase>,
    pub(super) p99_ratio: Option<f64>,
    pub(super) memory_growth_bytes: Option<u64>,
    pub(super) overrun_us: Option<f64>,
}

/// One phase, as the good subscriptions saw it.
#[derive(Debug, Serialize)]
pub(super) struct Phase {
    pub(super) troubled: bool,
    pub(super) published: u64,
    pub(super) refused: u64,
    pub(super) delivered: u64,
    pub(super) latency_us: Latency,
    pub(super) memory_growth_bytes: Option<u64>,
}

impl Report {
    /// Events that were acknowledged in all phases.
    pub(in crate::cli::bench::scenario) fn published(&self) -> u64 {
        self.phases.iter().map(|phase| phase.published).sum()
    }
}

/// The p99 of a troubled phase over that of the calm one before it: the median
/// of the pairs.
pub(super) fn p99_ratio(phases: &[Phase]) -> Option<f64> {
    let pairs = phases.as_chunks::<2>().0.iter();
    let mut ratios: Vec<f64> = pairs
        .map(|[calm, troubled]| troubled.latency_us.p99 / calm.latency_us.p99)
        .filter(|ratio| ratio.is_finite())
        .collect();
    ratios.sort_by(f64::total_cmp);
    let upper = *ratios.get(ratios.len() / 2)?;
    let lower = ratios[(ratios.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// How far the server's memory rose in a troubled phase, at most.
pub(super) fn memory_growth(phases: &[Phase]) -> Option<u64> {
    let troubled = phases.iter().filter(|phase| phase.troubled);
    troubled.filter_map(|phase| phase.memory_growth_bytes).max()
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{}, {} of {} in trouble, {} events/s to the others, {}\n",
            self.scenario,
            count(self.troubled.into()),
            count(self.subscriptions.into()),
            self.rate_per_s,
            show(Duration::from_secs_f64(self.duration_s))
        )?;
        writeln!(
            out,
            "{:<10}{:>12}{:>10}{:>10}{:>11}{:>11}{:>14}",
            "", "published", "refused", "arrived", "p50", "p99", "memory"
        )?;
        for phase in &self.phases {
            let memory = phase.memory_growth_bytes.map(bytes);
            writeln!(
                out,
                "{:<10}{:>12}{:>10}{:>10}{:>11}{:>11}{:>14}",
                if phase.troubled { "troubled" } else { "calm" },
                count(phase.published),
                count(phase.refused),
                count(phase.delivered),
                micros(phase.latency_us.p50),
                micros(phase.latency_us.p99),
                memory.map_or_else(|| "unknown".to_owned(), |memory| format!("+{memory}"))
            )?;
        }
        writeln!(out)?;
        if let Some(ratio) = self.p99_ratio {
            writeln!(out, "{:<18}{ratio:.2}, median of the pairs", "p99 to calm")?;
        }
        if let Some(growth) = self.memory_growth_bytes {
            let growth = bytes(growth);
            writeln!(out, "{:<18}+{growth} at most while troubled", "memory")?;
        }
        if let Some(overrun) = self.overrun_us {
            let overrun = micros(overrun);
            writeln!(out, "{:<18}{overrun} at most", "after deadlines")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(troubled: bool, p99: f64, memory_growth_bytes: u64) -> Phase {
        Phase {
            troubled,
            published: 5_000,
            refused: 0,
            delivered: 5_000,
            latency_us: Latency {
                p50: 850.0,
                p99,
                ..Latency::default()
            },
            memory_growth_bytes: Some(memory_growth_bytes),
        }
    }

    fn phases() -> Vec<Phase> {
        vec![
            phase(false, 1_000.0, 9 << 20),
            phase(true, 3_000.0, 2 << 20),
            phase(false, 2_000.0, 0),
            phase(true, 2_000.0, 3 << 20),
            phase(false, 1_000.0, 0),
            phase(true, 1_100.0, 1 << 20),
        ]
    }

    #[test]
    fn the_ratio_is_the_median_of_the_pairs() {
        assert_eq!(p99_ratio(&phases()), Some(1.1));
        assert_eq!(p99_ratio(&phases()[..4]), Some(2.0));
        assert_eq!(p99_ratio(&[]), None);
    }

    #[test]
    fn memory_counts_where_there_was_trouble() {
        assert_eq!(memory_growth(&phases()), Some(3 << 20));
        assert_eq!(memory_growth(&[]), None);
    }

    #[test]
    fn people_read_a_row_for_each_phase() {
        let phases = phases();
        let report = Report {
            scenario: "slow-receivers".to_owned(),
            subscriptions: 1_000,
            troubled: 300,
            rate_per_s: 500.0,
            duration_s: 10.0,
            p99_ratio: p99_ratio(&phases),
            memory_growth_bytes: memory_growth(&phases),
            overrun_us: Some(12_000.0),
            phases,
        };
        insta::assert_snapshot!(report.to_string(), @r"
        slow-receivers, 300 of 1,000 in trouble, 500 events/s to the others, 10.0 s

                     published   refused   arrived        p50        p99        memory
        calm             5,000         0     5,000     850 µs     1.0 ms      +9.0 MiB
        troubled         5,000         0     5,000     850 µs     3.0 ms      +2.0 MiB
        calm             5,000         0     5,000     850 µs     2.0 ms          +0 B
        troubled         5,000         0     5,000     850 µs     2.0 ms      +3.0 MiB
        calm             5,000         0     5,000     850 µs     1.0 ms          +0 B
        troubled         5,000         0     5,000     850 µs     1.1 ms      +1.0 MiB

        p99 to calm       1.10, median of the pairs
        memory            +3.0 MiB at most while troubled
        after deadlines   12.0 ms at most
        ");
    }
}
