//! The log of attempts in order.
//!
//! Positions stand in the order of transactions, and what stands below the
//! oldest one that still runs is complete: nothing is ever added there. The log
//! is read up to that boundary and no further, so a reader that goes on after
//! what it saw last misses nothing, however slowly somebody commits.

use std::{sync::Arc, time::Duration};

use tokio_postgres::Row;

use super::{
    connect::Connection,
    error::{from_pg, malformed},
    row::{from_time, to_time},
    state::State,
    watch::BOUNDARY,
};
use crate::{
    domain::{Attempt, Timestamp},
    storage::{LogPosition, LogSlice, Result, row::read_attempt},
};

/// How far apart the clocks of processes, and the moments at which two
/// transactions began and wrote, may be for [`State::position_before`] to be
/// exact. It looks at about as much of the log as falls in this time.
const SLACK: Duration = Duration::from_secs(10);

impl State {
    /// See [`crate::storage::Log::read_log`].
    pub(super) async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogSlice> {
        let client = self.connection().await?;
        let sql = format!(
            "SELECT l.removed_before, l.removed_position,
                    a.position, a.next_attempt_time, a.content
             FROM log l
             LEFT JOIN LATERAL (
                 SELECT position, next_attempt_time, content FROM attempt
                 WHERE position > $1 AND position < {BOUNDARY}
                 ORDER BY position LIMIT $2
             ) a ON true
             ORDER BY a.position"
        );
        let statement = client.prepare_cached(&sql).await.map_err(from_pg)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let from = from_position(after);
        let rows = client.query(&statement, &[&from, &limit]).await;
        let rows = rows.map_err(from_pg)?;
        let mut slice = LogSlice::default();
        for row in &rows {
            if from < row.get("removed_position") {
                slice.removed_before = row.get::<_, Option<i64>>("removed_before").map(to_time);
            }
            if let Some(position) = row.get::<_, Option<i64>>("position") {
                let attempt = Arc::new(attempt(row)?);
                slice.attempts.push((to_position(position), attempt));
            }
        }
        Ok(slice)
    }

    /// See [`crate::storage::Log::position_before`].
    ///
    /// Attempts are recorded about in the order of their positions, but for
    /// [`SLACK`]. So the search halves the log for a place before which nothing
    /// was recorded that late, and goes on from there one by one.
    pub(super) async fn position_before(&self, time: Timestamp) -> Result<LogPosition> {
        let client = self.connection().await?;
        let boundary = boundary(&client).await?;
        let sure = from_time(time).saturating_sub(from_time(Timestamp::MIN.after(SLACK)));
        // Nothing before `low` is meant; what is meant is before `high`, or
        // close to it.
        let (mut low, mut high) = (0, boundary);
        while low < high {
            let middle = low + (high - low) / 2;
            match next(&client, middle, boundary).await? {
                Some((position, recorded)) if recorded < sure => low = position + 1,
                _ => high = middle,
            }
        }
        let statement = client
            .prepare_cached(
                "SELECT position FROM attempt
                 WHERE position >= $1 AND position < $2 AND recorded >= $3
                 ORDER BY position LIMIT 1",
            )
            .await
            .map_err(from_pg)?;
        let first = client
            .query_opt(&statement, &[&low, &boundary, &from_time(time)])
            .await
            .map_err(from_pg)?;
        // Without one, the next to come is meant: it is not below the boundary.
        let first = first.map_or(boundary, |row| row.get("position"));
        Ok(to_position(first.saturating_sub(1)))
    }
}

/// Where the log ends for now.
async fn boundary(client: &Connection) -> Result<i64> {
    let sql = format!("SELECT {BOUNDARY} AS boundary");
    let statement = client.prepare_cached(&sql).await.map_err(from_pg)?;
    let row = client.query_one(&statement, &[]).await.map_err(from_pg)?;
    Ok(row.get("boundary"))
}

/// The first attempt at or after a place, and when it was recorded.
async fn next(client: &Connection, from: i64, boundary: i64) -> Result<Option<(i64, i64)>> {
    let statement = client
        .prepare_cached(
            "SELECT position, recorded FROM attempt
             WHERE position >= $1 AND position < $2 ORDER BY position LIMIT 1",
        )
        .await
        .map_err(from_pg)?;
    let row = client.query_opt(&statement, &[&from, &boundary]).await;
    let row = row.map_err(from_pg)?;
    Ok(row.map(|row| (row.get("position"), row.get("recorded"))))
}

/// The attempt of a row. When the delivery is tried again was decided as the
/// attempt was recorded, and stands beside what the attempt says.
pub(super) fn attempt(row: &Row) -> Result<Attempt> {
    let attempt = read_attempt(row.get("content")).map_err(malformed("attempt"))?;
    let next_attempt_time = row.get::<_, Option<i64>>("next_attempt_time").map(to_time);
    Ok(Attempt {
        next_attempt_time,
        ..attempt
    })
}

pub(super) fn from_position(position: LogPosition) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

pub(super) fn to_position(position: i64) -> LogPosition {
    LogPosition(u64::try_from(position).unwrap_or_default())
}
