//! What is counted of attempts.

use super::{Control, Error, Result};
use crate::domain::{Counts, StatsGroup, StatsQuery, TenantId};

/// Most groups of an answer.
const MAX_GROUPS: usize = 10_000;

impl Control {
    /// Sums what is counted of attempts.
    pub async fn delivery_stats(
        &self,
        tenant: &TenantId,
        query: &StatsQuery,
    ) -> Result<Vec<(StatsGroup, Counts)>> {
        let groups = self.store.stats(tenant, query, MAX_GROUPS + 1).await?;
        if groups.len() <= MAX_GROUPS {
            return Ok(groups);
        }
        let field = match query.by_span {
            Some(_) => "bucket",
            None => "group_by",
        };
        let wrong = format!(
            "tells more than {MAX_GROUPS} apart; choose less time, longer buckets, one \
             subscription or one event type"
        );
        Err(Error::invalid(field, wrong))
    }
}
