//! Values by tenant, as a list such as `acme=7d, globex=14d`.

use std::{collections::BTreeMap, marker::PhantomData};

use super::format::{Format, quoted};
use crate::domain::TenantId;

/// A value for each of some tenants.
pub type OfTenants<T> = BTreeMap<TenantId, T>;

/// Values by tenant, each in a format whose texts have no comma.
pub(super) struct ByTenant<F>(PhantomData<F>);

impl<F: Format> Format for ByTenant<F> {
    type Value = OfTenants<F::Value>;

    fn parse(text: &str) -> Option<Self::Value> {
        let mut values = OfTenants::new();
        if text.is_empty() {
            return Some(values);
        }
        for entry in text.split(',') {
            let (tenant, value) = entry.split_once('=')?;
            let value = F::parse(value.trim())?;
            let before = values.insert(tenant.trim().parse().ok()?, value);
            before.is_none().then_some(())?;
        }
        Some(values)
    }

    fn write(values: &Self::Value) -> String {
        let entries = values.iter().map(|(tenant, value)| {
            let value = F::write(value);
            format!("{tenant}={}", value.trim_matches('"'))
        });
        quoted(entries.collect::<Vec<_>>().join(", "))
    }

    fn expected() -> String {
        format!(
            "empty, or a list such as \"acme=..., globex=...\" of tenants, each once and with {}",
            F::expected()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        format::{Count, Period},
        units::DAY,
    };

    type Format7 = ByTenant<Period<{ 7 * DAY }, { 30 * DAY }>>;

    #[test]
    fn a_list_reads_back_and_anything_else_is_refused() {
        let read = Format7::parse("globex=14d,acme = 7d").unwrap();
        assert_eq!(Format7::write(&read), "\"acme=7d, globex=14d\"");
        assert_eq!(Format7::parse(""), Some(OfTenants::new()));
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
        let counts = ByTenant::<Count<u32, 1, 9>>::parse("acme=3").unwrap();
        assert_eq!(ByTenant::<Count<u32, 1, 9>>::write(&counts), "\"acme=3\"");
    }
}
