//! Counts of attempts. Each stands in the day of its attempts and is written by
//! the batch that writes those, so a crash leaves both or neither; one row for
//! what a group of writes counts together.

use std::{collections::BTreeMap, ops::Bound};

use async_trait::async_trait;

use super::{
    day::from_kv,
    key,
    kv::{Batch, Order, Partition, Step},
    piece,
    row::{read_counts, write_counts},
    state::State,
    store::Store,
};
use crate::{
    domain::{Counts, StatsGroup, StatsQuery, TenantId},
    storage::{Result, Stats, stats::Counted},
};

#[async_trait]
impl Stats for Store {
    async fn stats(
        &self,
        tenant: &TenantId,
        query: &StatsQuery,
        limit: usize,
    ) -> Result<Vec<(StatsGroup, Counts)>> {
        let (tenant, query) = (tenant.clone(), query.clone());
        self.read(move |state| state.stats(&tenant, &query, limit))
            .await
    }
}

/// Adds to the counts of a day.
pub(super) fn add(counted: &Counted, partition: &dyn Partition, batch: &mut Batch) -> Result<()> {
    for (tenant, of, more) in counted.iter() {
        let key = key::stats(tenant, of);
        let before = partition.get(&key).map_err(from_kv)?;
        let mut counts = match before {
            Some(row) => read_counts(&row).map_err(|_| piece::malformed(&key))?,
            None => Counts::default(),
        };
        counts.merge(more);
        if counts.is_empty() {
            batch.remove(key);
        } else {
            batch.put(key, write_counts(&counts));
        }
    }
    Ok(())
}

impl State {
    fn stats(
        &self,
        tenant: &TenantId,
        query: &StatsQuery,
        limit: usize,
    ) -> Result<Vec<(StatsGroup, Counts)>> {
        let mut groups = BTreeMap::new();
        // Attempts are recorded after they began.
        let place = self.position_before(query.started.start)?;
        for day in self.days.logged_after(place)? {
            if let Some(partition) = self.days.get(day)? {
                sum(&*partition, tenant, query, limit, &mut groups)?;
            }
        }
        Ok(groups.into_iter().take(limit).collect())
    }
}

/// Sums what a day has for a query. Passes over the times that are not asked for
/// without reading them.
fn sum(
    partition: &dyn Partition,
    tenant: &TenantId,
    query: &StatsQuery,
    limit: usize,
    groups: &mut BTreeMap<StatsGroup, Counts>,
) -> Result<()> {
    let range = query.started;
    let (first, end) = key::stats_of(tenant, query.subscription_id, range);
    let mut next = Some(first);
    let mut malformed = None;
    while let Some(from) = next.take() {
        let bounds = (Bound::Included(from), Bound::Excluded(end.clone()));
        let visit = &mut |at: &[u8], row: &[u8]| {
            let Some((_, key)) = key::stats_key_of(at) else {
                malformed = Some(at.to_vec());
                return Step::Break(());
            };
            if key.start < range.start || key.start >= range.end {
                next = Some(key::stats_skip(tenant, &key, range));
                return Step::Break(());
            }
            let Some(group) = query.group(&key) else {
                return Step::Continue(());
            };
            match read_counts(row) {
                Ok(counts) => groups.entry(group).or_default().merge(&counts),
                Err(_) => malformed = Some(at.to_vec()),
            }
            if malformed.is_none() && groups.len() <= limit {
                Step::Continue(())
            } else {
                Step::Break(())
            }
        };
        partition
            .scan(bounds, Order::Forwards, visit)
            .map_err(from_kv)?;
    }
    malformed.map_or(Ok(()), |key| Err(piece::malformed(&key)))
}
