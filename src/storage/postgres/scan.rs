//! Reads a table from end to end in the order of an index, a bounded piece at a
//! time, for copies and checks.

use tokio_postgres::{Row, types::ToSql};

use super::{connect::Connection, error::from_pg};
use crate::storage::Result;

/// What a row counts for beside its longest columns.
const OVERHEAD: usize = 256;

/// Most rows that one statement reads.
const MOST: usize = 1_000;

/// What is read of a table.
pub(super) struct Scan<'a> {
    /// What is selected.
    pub(super) columns: &'a str,
    pub(super) table: &'a str,
    pub(super) filter: &'a str,
    /// The columns of the index, which tell the rows apart.
    pub(super) key: &'a [&'a str],
    /// The columns whose bytes count.
    pub(super) bytes: &'a [&'a str],
}

/// How much is read at once; one row at least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// Rows in order, and how many bytes they take.
pub(super) struct Piece {
    pub(super) rows: Vec<Row>,
    pub(super) bytes: usize,
}

impl Scan<'_> {
    /// Reads on after a key; nothing at the end.
    pub(super) async fn read(
        &self,
        client: &Connection,
        after: &[&(dyn ToSql + Sync)],
        bounds: Bounds,
    ) -> Result<Piece> {
        let rows = i64::try_from(bounds.rows.clamp(1, MOST)).unwrap_or(i64::MAX);
        let bytes = i64::try_from(bounds.bytes.max(1)).unwrap_or(i64::MAX);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&rows, &bytes];
        parameters.extend(after);
        let statement = client.prepare_cached(&self.sql()).await.map_err(from_pg)?;
        let rows = client.query(&statement, &parameters).await;
        let rows = rows.map_err(from_pg)?;
        let total = rows.last().map_or(0, |row| row.get::<_, i64>("total"));
        Ok(Piece {
            rows,
            bytes: usize::try_from(total).unwrap_or_default(),
        })
    }

    /// The sizes of values are known without reading them, so no more is read
    /// than is shown.
    fn sql(&self) -> String {
        let Self {
            columns,
            table,
            filter,
            ..
        } = self;
        let key = self.key.join(", ");
        let after: Vec<_> = (3..3 + self.key.len()).map(|n| format!("${n}")).collect();
        let after = after.join(", ");
        let bytes = self.bytes.iter();
        let bytes = bytes.map(|column| format!(" + coalesce(octet_length({column}), 0)"));
        let size = format!("({OVERHEAD}{})", bytes.collect::<String>());
        format!(
            "SELECT * FROM (
                 SELECT {columns}, {size} AS size,
                     sum({size}) OVER (ORDER BY {key} ROWS UNBOUNDED PRECEDING) AS total
                 FROM {table} WHERE ({key}) > ({after}) AND {filter} ORDER BY {key} LIMIT $1
             ) AS page
             WHERE total - size < $2 ORDER BY total"
        )
    }
}
