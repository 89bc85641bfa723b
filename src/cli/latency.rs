//! Latencies as they are measured and told.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Quantiles of a latency, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl Latency {
    /// The quantiles of a histogram of nanoseconds.
    pub(super) fn of_nanos(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| real(histogram.value_at_quantile(quantile)) / 1e3;
        Self {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        }
    }
}

/// A histogram of nanoseconds with three digits; what is longer counts as ten
/// minutes.
pub(super) fn new_histogram() -> Histogram<u64> {
    const LONGEST: u64 = 600 * 1_000_000_000;
    Histogram::new_with_max(LONGEST, 3).expect("the bounds and the precision are valid")
}

/// A count as a real number.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}
