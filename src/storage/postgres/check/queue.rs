//! What goes over all days: the queues, and the positions of the log.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{PIECE, Report};
use crate::storage::{
    Result,
    postgres::{
        connect::Connection,
        error::from_pg,
        row::{to_delivery_id, to_time},
        scan::Scan,
    },
};

/// Positions that are counted at once.
const POSITIONS: i64 = 10_000;

/// Checks that who stands in a queue is due then.
pub(super) async fn places(client: &Connection, report: &mut Report) -> Result<()> {
    let scan = Scan {
        columns: "q.subscription, q.due, q.delivery, d.id AS found,
            d.subscription = q.subscription AND d.due IS NOT DISTINCT FROM q.due AS is_due",
        table: "ready q LEFT JOIN delivery d ON d.id = q.delivery",
        filter: "true",
        key: &["q.subscription", "q.due", "q.delivery"],
        bytes: &[],
    };
    let mut after = (Uuid::nil(), i64::MIN, Uuid::nil());
    loop {
        let key: [&(dyn ToSql + Sync); 3] = [&after.0, &after.1, &after.2];
        let piece = scan.read(client, &key, PIECE).await?;
        let Some(last) = piece.rows.last() else {
            return Ok(());
        };
        after = (
            last.get("subscription"),
            last.get("due"),
            last.get("delivery"),
        );
        for row in &piece.rows {
            report.checked.totals.due += 1;
            let id = to_delivery_id(row.get("delivery"));
            if row.get::<_, Option<Uuid>>("found").is_none() {
                report.find(format!("the queue has delivery {id}, which is missing"));
            } else if row.get::<_, Option<bool>>("is_due") != Some(true) {
                let due = to_time(row.get("due"));
                report.find(format!(
                    "the queue has delivery {id} at {due}, when it is not due"
                ));
            }
        }
    }
}

/// Checks that no two attempts have one position.
pub(super) async fn positions(client: &Connection, report: &mut Report) -> Result<()> {
    let statement = client
        .prepare_cached(
            "SELECT max(position) AS last, array_agg(position) FILTER (WHERE count > 1) AS repeated
             FROM (
                 SELECT position, count(*) AS count FROM attempt WHERE position > $1
                 GROUP BY position ORDER BY position LIMIT $2
             ) AS counted",
        )
        .await
        .map_err(from_pg)?;
    let mut after = i64::MIN;
    loop {
        let row = client.query_one(&statement, &[&after, &POSITIONS]).await;
        let row = row.map_err(from_pg)?;
        let Some(last) = row.get::<_, Option<i64>>("last") else {
            return Ok(());
        };
        after = last;
        let repeated = row.get::<_, Option<Vec<i64>>>("repeated");
        for position in repeated.unwrap_or_default() {
            report.find(format!("several attempts are at {position}"));
        }
    }
}
