//! Durations by tenant, as a list such as `acme=7d, globex=14d`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    format::Format,
    units::{parse_period, write_period},
};
use crate::domain::TenantId;

/// A duration for each of some tenants.
pub type TenantPeriods = BTreeMap<TenantId, Duration>;

/// Durations by tenant within bounds, which are in milliseconds.
pub(super) struct ByTenant<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Format for ByTenant<MIN, MAX> {
    type Value = TenantPeriods;

    fn parse(text: &str) -> Option<TenantPeriods> {
        let mut periods = TenantPeriods::new();
        if text.is_empty() {
            return Some(periods);
        }
        let bounds = Duration::from_millis(MIN)..=Duration::from_millis(MAX);
        for entry in text.split(',') {
            let (tenant, period) = entry.split_once('=')?;
            let period = parse_period(period.trim()).filter(|period| bounds.contains(period))?;
            let before = periods.insert(tenant.trim().parse().ok()?, period);
            before.is_none().then_some(())?;
        }
        Some(periods)
    }

    fn write(value: &TenantPeriods) -> String {
        let entries = value
            .iter()
            .map(|(tenant, period)| format!("{tenant}={}", write_period(*period)));
        format!("\"{}\"", entries.collect::<Vec<_>>().join(", "))
    }

    fn expected() -> String {
        let [min, max] = [MIN, MAX].map(|millis| write_period(Duration::from_millis(millis)));
        format!(
            "empty, or a list of tenants, each once and with a duration from {min} to {max}, such \
             as \"acme=7d, globex=14d\""
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::DAY;

    type Format7 = ByTenant<{ 7 * DAY }, { 30 * DAY }>;

    #[test]
    fn a_list_reads_back_and_anything_else_is_refused() {
        let read = Format7::parse("globex=14d,acme = 7d").unwrap();
        assert_eq!(Format7::write(&read), "\"acme=7d, globex=14d\"");
        assert_eq!(Format7::parse(""), Some(TenantPeriods::new()));
        for bad in [
            "acme",
            "acme=6d",
            "acme=31d",
            "Acme=7d",
            "a=7d,a=8d",
            "a=7d,",
            "=7d",
        ] {
            assert_eq!(Format7::parse(bad), None, "{bad}");
        }
    }
}
