//! What was counted of attempts: kept as they are recorded, read without reading
//! them.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::Result;
use crate::domain::{Attempt, Counts, StatsGroup, StatsKey, StatsQuery, TenantId};

/// Reads what was counted.
///
/// Every attempt is counted by the write that records it, so the counts are
/// those of the log, over crashes too; they go with the attempts.
#[async_trait]
pub trait Stats: Send + Sync + 'static {
    /// Sums what was counted of a tenant's attempts, in the order of the groups.
    /// Returns at most `limit` groups, in which some may be missing if there are
    /// so many.
    async fn stats(
        &self,
        tenant: &TenantId,
        query: &StatsQuery,
        limit: usize,
    ) -> Result<Vec<(StatsGroup, Counts)>>;
}

/// Counts of attempts, or how many more there are than before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Counted(BTreeMap<(TenantId, StatsKey), Counts>);

impl Counted {
    /// Counts an attempt, or one less if `by` is -1.
    pub(super) fn count(&mut self, attempt: &Attempt, by: i64) {
        let key = (attempt.tenant.clone(), StatsKey::of(attempt));
        self.0.entry(key).or_default().count(attempt, by);
    }

    /// Counts on by what was read.
    pub(super) fn merge(&mut self, tenant: TenantId, key: StatsKey, counts: &Counts) {
        self.0.entry((tenant, key)).or_default().merge(counts);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&TenantId, &StatsKey, &Counts)> {
        let counted = self.0.iter();
        counted.map(|((tenant, key), counts)| (tenant, key, counts))
    }

    /// What is counted of attempts, if that is not what there are.
    pub(super) fn difference(&self, attempts: &Self) -> Option<String> {
        let keys = self.0.keys().chain(attempts.0.keys());
        let none = Counts::default();
        let of = |counted: &Self, key| counted.0.get(key).unwrap_or(&none).clone();
        let (_, key) = keys
            .into_iter()
            .find(|key| of(self, key) != of(attempts, key))?;
        Some(format!(
            "attempts of {} for {} from {} are not counted as there are",
            key.event_type, key.subscription_id, key.start
        ))
    }
}
