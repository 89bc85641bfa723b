//! Counts of attempts. What is recorded is counted by the statement that records
//! it; what is imported or removed, by the transaction that does so.

use async_trait::async_trait;
use tokio_postgres::{Row, types::ToSql};

use super::{
    by_hand::Transaction,
    connect::Connection,
    days::name,
    error::{from_pg, malformed},
    row::{from_subscription, from_time, to_subscription_id, to_tenant, to_time},
    state::State,
    store::Store,
};
use crate::{
    domain::{Counts, StatsGroup, StatsKey, StatsQuery, TenantId},
    storage::{
        Result, Stats,
        bytes::{Malformed, Read},
        day::Day,
        row::read_attempt,
        stats::Counted,
    },
};

#[async_trait]
impl Stats for Store {
    async fn stats(
        &self,
        tenant: &TenantId,
        query: &StatsQuery,
        limit: usize,
    ) -> Result<Vec<(StatsGroup, Counts)>> {
        let found = self.state.stats(tenant, query, limit).await;
        found.inspect_err(|error| self.state.note(error))
    }
}

impl State {
    async fn stats(
        &self,
        tenant: &TenantId,
        query: &StatsQuery,
        limit: usize,
    ) -> Result<Vec<(StatsGroup, Counts)>> {
        let subscription = query.subscription_id.map(from_subscription);
        let event_type = query.event_type.as_ref().map(ToString::to_string);
        let span = query.by_span.map_or(0, |span| {
            i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
        });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let parameters: [&(dyn ToSql + Sync); 9] = [
            &tenant.as_str(),
            &subscription,
            &event_type,
            &from_time(query.started.start),
            &from_time(query.started.end),
            &span,
            &query.by_subscription,
            &query.by_event_type,
            &limit,
        ];
        let client = self.connection().await?;
        let statement = client.prepare_cached(SUM).await.map_err(from_pg)?;
        let rows = client.query(&statement, &parameters).await;
        let rows = rows.map_err(from_pg)?;
        let groups = rows.iter().map(group).collect::<Read<_>>();
        groups.map_err(malformed("stats"))
    }
}

/// A row for each group, with its slots and their counts; what is not to be told
/// apart is null.
const SUM: &str = "WITH slots AS (
         SELECT CASE WHEN $6::bigint > 0 THEN start / $6 * $6 END AS span,
             CASE WHEN $7 THEN subscription END AS subscription,
             CASE WHEN $8 THEN event_type END AS event_type,
             slot, sum(count)::bigint AS count
         FROM stats
         WHERE tenant = $1
             AND ($2::uuid IS NULL OR subscription = $2)
             AND ($3::text IS NULL OR event_type = $3)
             AND start >= $4 AND start < $5
         GROUP BY 1, 2, 3, 4
         HAVING sum(count) <> 0
     )
     SELECT span, subscription, event_type,
         array_agg(slot) AS slots, array_agg(count) AS counts
     FROM slots GROUP BY 1, 2, 3
     ORDER BY 1, 2, event_type COLLATE \"C\" LIMIT $9";

fn group(row: &Row) -> Read<(StatsGroup, Counts)> {
    let event_type = row.get::<_, Option<&str>>("event_type").map(str::parse);
    let group = StatsGroup {
        start: row.get::<_, Option<i64>>("span").map(to_time),
        subscription_id: row
            .get::<_, Option<_>>("subscription")
            .map(to_subscription_id),
        event_type: event_type.transpose().map_err(|_| Malformed)?,
    };
    Ok((group, counts(row)?))
}

fn counts(row: &Row) -> Read<Counts> {
    let slots = row.get::<_, Vec<i16>>("slots");
    let mut counts = Counts::default();
    for (slot, count) in slots.into_iter().zip(row.get::<_, Vec<i64>>("counts")) {
        counts.add(u16::try_from(slot).map_err(|_| Malformed)?, count);
    }
    Ok(counts)
}

/// Counts the attempts that a statement returns, of these ids or positions.
pub(super) async fn counted(
    transaction: &Transaction<'_>,
    sql: &str,
    of: &(dyn ToSql + Sync),
    by: i64,
) -> Result<Counted> {
    let statement = transaction.prepare_cached(sql).await.map_err(from_pg)?;
    let rows = transaction
        .query(&statement, &[of])
        .await
        .map_err(from_pg)?;
    let mut counted = Counted::default();
    for row in &rows {
        // One that does not read is not counted, either; a check tells.
        if let Ok(attempt) = read_attempt(row.get("content")) {
            counted.count(&attempt, by);
        }
    }
    Ok(counted)
}

/// All that is counted of a day.
pub(super) async fn of_day(client: &Connection, day: Day) -> Result<Counted> {
    let sql = format!(
        "SELECT tenant, subscription, start, event_type,
             array_agg(slot) AS slots, array_agg(count) AS counts
         FROM (
             SELECT tenant, subscription, start, event_type, slot, sum(count)::bigint AS count
             FROM {} GROUP BY 1, 2, 3, 4, 5
         ) AS slots
         GROUP BY 1, 2, 3, 4",
        name("stats", day)
    );
    let mut counted = Counted::default();
    for row in client.query(&sql, &[]).await.map_err(from_pg)? {
        let event_type = row.get::<_, &str>("event_type").parse();
        let key = StatsKey {
            subscription_id: to_subscription_id(row.get("subscription")),
            start: to_time(row.get("start")),
            event_type: event_type.map_err(|_| malformed("stats")(Malformed))?,
        };
        let counts = counts(&row).map_err(malformed("stats"))?;
        counted.merge(to_tenant(row.get("tenant"))?, key, &counts);
    }
    Ok(counted)
}

/// Adds to the counts of a day.
pub(super) async fn add(transaction: &Transaction<'_>, day: Day, more: &Counted) -> Result<()> {
    let (mut tenants, mut subscriptions, mut starts, mut types) =
        <(Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
    let (mut slots, mut counts) = (Vec::new(), Vec::new());
    for (tenant, key, counted) in more.iter() {
        for (slot, count) in counted.iter() {
            tenants.push(tenant.as_str());
            subscriptions.push(from_subscription(key.subscription_id));
            starts.push(from_time(key.start));
            types.push(key.event_type.as_str());
            slots.push(from_slot(slot));
            counts.push(count);
        }
    }
    let sql = format!(
        "INSERT INTO {} AS s (day, tenant, subscription, start, event_type, slot, writer, count)
         SELECT {}, n.tenant, n.subscription, n.start, n.event_type, n.slot, 0, n.count
         FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::smallint[],
             $6::bigint[]) AS n (tenant, subscription, start, event_type, slot, count)
         ORDER BY n.tenant, n.subscription, n.start, n.event_type, n.slot
         {ON_CONFLICT}",
        name("stats", day),
        day.number(),
    );
    let statement = transaction.prepare_cached(&sql).await.map_err(from_pg)?;
    let added = transaction
        .execute(
            &statement,
            &[&tenants, &subscriptions, &starts, &types, &slots, &counts],
        )
        .await;
    added.map(|_| ()).map_err(from_pg)
}

/// Adds to a count of the table `s`. Whoever adds to several does so in the order
/// of their keys and has locked the deliveries before, so nobody waits in a
/// circle.
pub(super) const ON_CONFLICT: &str =
    "ON CONFLICT (day, tenant, subscription, start, event_type, slot, writer)
     DO UPDATE SET count = s.count + excluded.count";

pub(super) fn from_slot(slot: u16) -> i16 {
    i16::try_from(slot).unwrap_or(i16::MAX)
}
