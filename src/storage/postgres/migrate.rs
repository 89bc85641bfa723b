//! Brings the schema of a database up to date: embedded SQL, applied in order
//! and once, whoever else is at it.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::{
    OpenError, Url,
    connect::{Connection, Connections, SCHEMA},
    error::from_pg,
};
use crate::storage::Result;

/// The first version of PostgreSQL that has what is used.
const OLDEST: i32 = 150_000;

/// The advisory lock under which the schema changes. Two keys, so that it is
/// none of those of the days.
const LOCK: (i32, i32) = (0x7072_6402, 0);

/// How long the schema's other changes are waited for, and a change may take.
const PATIENCE: &str = "SET lock_timeout = '10min'; SET statement_timeout = '0'";

/// In order, without a gap; what is out is never changed.
const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_store",
        sql: include_str!("migrations/0001_store.sql"),
    },
    Migration {
        name: "0002_erasure",
        sql: include_str!("migrations/0002_erasure.sql"),
    },
    Migration {
        name: "0003_replay",
        sql: include_str!("migrations/0003_replay.sql"),
    },
    Migration {
        name: "0004_order",
        sql: include_str!("migrations/0004_order.sql"),
    },
    Migration {
        name: "0006_stats",
        sql: include_str!("migrations/0006_stats.sql"),
    },
    Migration {
        name: "0007_api_keys",
        sql: include_str!("migrations/0007_api_keys.sql"),
    },
    Migration {
        name: "0008_root_key",
        sql: include_str!("migrations/0008_root_key.sql"),
    },
];

/// A step from one schema to the next. Its number is its place, counted from 1.
struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// Migrations of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The names of those that were applied, or are yet to be, in order.
    pub names: Vec<&'static str>,
}

/// Applies the migrations that a database does not have yet.
pub async fn migrate(url: &Url) -> Result<Migrated, OpenError> {
    let mut client = connect(url).await?;
    let database = |error| OpenError::database(url)(error);
    lock(&client).await.map_err(database)?;
    prepare(&client).await.map_err(database)?;
    let missing = missing(&client, url).await?;
    for (number, migration) in &missing {
        let applied = apply(&mut client, *number, migration).await;
        applied.map_err(database)?;
        tracing::info!(migration = migration.name, "database migrated");
    }
    raise(&mut client).await.map_err(database)?;
    Ok(named(&missing))
}

/// The migrations that a database does not have yet. Changes nothing.
pub async fn pending(url: &Url) -> Result<Migrated, OpenError> {
    let client = connect(url).await?;
    let missing = missing(&client, url).await?;
    Ok(named(&missing))
}

/// The number of the last migration that is known.
pub(super) fn schema_version() -> usize {
    MIGRATIONS.len()
}

/// Makes sure that there is a store, of the schema that is known. Changes
/// nothing.
pub(super) async fn expect(url: &Url) -> Result<(), OpenError> {
    let missing = pending(url).await?.names.len();
    match missing {
        0 => Ok(()),
        all if all == MIGRATIONS.len() => Err(OpenError::Missing { url: url.clone() }),
        _ => Err(OpenError::Older { url: url.clone() }),
    }
}

/// Connects to a server that can hold a store. The lock and the settings of the
/// connection end with it.
async fn connect(url: &Url) -> Result<Connection, OpenError> {
    let connected = async {
        let connections = Connections::to(url, 1)?;
        let client = connections.get().await?;
        let server = Server::of(&client).await?;
        Ok((client, server))
    };
    let (client, server) = connected.await.map_err(OpenError::database(url))?;
    server.check().map_err(|why| OpenError::Unsuitable {
        url: url.clone(),
        why,
    })?;
    Ok(client)
}

/// Why a server cannot hold a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    /// Its version is too old.
    #[error("it runs PostgreSQL {0}, and postrider needs 15 or newer")]
    Old(String),
    /// It takes no writes.
    #[error("it takes no writes; name the primary, not a standby")]
    ReadOnly,
}

/// What a server says of itself.
struct Server {
    number: i32,
    version: String,
    is_read_only: bool,
    /// Settings without which a power cut loses or breaks what is stored, or
    /// nobody notices that it is broken.
    unsafe_settings: Vec<(&'static str, &'static str)>,
}

impl Server {
    async fn of(client: &Connection) -> Result<Self> {
        let row = client
            .query_one(
                "SELECT current_setting('server_version_num')::integer AS number,
                        current_setting('server_version') AS version,
                        pg_is_in_recovery()
                            OR current_setting('transaction_read_only')::boolean AS is_read_only,
                        current_setting('fsync')::boolean AS fsync,
                        current_setting('full_page_writes')::boolean AS full_page_writes,
                        current_setting('data_checksums')::boolean AS data_checksums",
                &[],
            )
            .await
            .map_err(from_pg)?;
        let lost = "a power cut may lose events";
        let altered = "what a disk changes is noticed in events alone (initdb --data-checksums)";
        let settings = [
            ("fsync", lost),
            ("full_page_writes", lost),
            ("data_checksums", altered),
        ];
        Ok(Self {
            number: row.get("number"),
            version: row.get("version"),
            is_read_only: row.get("is_read_only"),
            unsafe_settings: settings
                .into_iter()
                .filter(|(name, _)| !row.get::<_, bool>(*name))
                .collect(),
        })
    }

    fn check(self) -> Result<(), Unsuitable> {
        if self.number < OLDEST {
            return Err(Unsuitable::Old(self.version));
        }
        if self.is_read_only {
            return Err(Unsuitable::ReadOnly);
        }
        for (setting, danger) in self.unsafe_settings {
            tracing::warn!(setting, "database setting is off: {danger}");
        }
        Ok(())
    }
}

/// Waits until nobody else changes the schema.
async fn lock(client: &Connection) -> Result<()> {
    client.batch_execute(PATIENCE).await.map_err(from_pg)?;
    let locked = client
        .execute("SELECT pg_advisory_lock($1, $2)", &[&LOCK.0, &LOCK.1])
        .await;
    locked.map(|_| ()).map_err(from_pg)
}

/// Makes the schema and the table of migrations. A schema that is there may be
/// one that this user could not have made.
async fn prepare(client: &Connection) -> Result<()> {
    let there = client
        .query_one("SELECT to_regnamespace($1) IS NOT NULL", &[&SCHEMA])
        .await;
    if !there.map_err(from_pg)?.get::<_, bool>(0) {
        let create = format!("CREATE SCHEMA {SCHEMA}");
        client.batch_execute(&create).await.map_err(from_pg)?;
    }
    client
        .batch_execute(
            "SET client_min_messages = warning;
             CREATE TABLE IF NOT EXISTS migration (
                 number integer PRIMARY KEY,
                 name text NOT NULL,
                 checksum text NOT NULL,
                 applied_at timestamptz NOT NULL DEFAULT now()
             )",
        )
        .await
        .map_err(from_pg)
}

/// What is missing, with its number, once what is there was checked.
async fn missing(
    client: &Connection,
    url: &Url,
) -> Result<Vec<(i32, &'static Migration)>, OpenError> {
    let applied = applied(client).await.map_err(OpenError::database(url))?;
    let all: Vec<_> = (1..).zip(MIGRATIONS).collect();
    let known = all.last().map_or(0, |(number, _)| *number);
    for (number, checksum) in &applied {
        let Some((_, migration)) = all.iter().find(|(known, _)| known == number) else {
            return Err(OpenError::Newer {
                url: url.clone(),
                found: *number,
                known,
            });
        };
        if *checksum != migration.checksum() {
            return Err(OpenError::Altered {
                url: url.clone(),
                number: *number,
            });
        }
    }
    let missing = all.into_iter().filter(|(number, _)| {
        let applied = applied.iter().map(|(number, _)| number);
        !applied.into_iter().any(|applied| applied == number)
    });
    Ok(missing.collect())
}

/// Numbers and checksums of what was applied, the last first.
async fn applied(client: &Connection) -> Result<Vec<(i32, String)>> {
    let table = format!("{SCHEMA}.migration");
    let there = client
        .query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])
        .await;
    if !there.map_err(from_pg)?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let sql = "SELECT number, checksum FROM migration ORDER BY number DESC";
    let rows = client.query(sql, &[]).await.map_err(from_pg)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn apply(client: &mut Connection, number: i32, migration: &Migration) -> Result<()> {
    let transaction = client.transaction().await.map_err(from_pg)?;
    transaction
        .batch_execute(migration.sql)
        .await
        .map_err(from_pg)?;
    transaction
        .execute(
            "INSERT INTO migration (number, name, checksum) VALUES ($1, $2, $3)",
            &[&number, &migration.name, &migration.checksum()],
        )
        .await
        .map_err(from_pg)?;
    transaction.commit().await.map_err(from_pg)
}

/// A database that was restored into a younger cluster has positions and marks
/// of transactions that are yet to come there. Positions go on above the last;
/// the marks begin anew.
async fn raise(client: &mut Connection) -> Result<()> {
    let transaction = client.transaction().await.map_err(from_pg)?;
    let raised = transaction
        .execute(
            "WITH last AS (
                 SELECT greatest(l.removed_position, (SELECT max(position) FROM attempt)) AS position,
                        pg_current_xact_id()::text::bigint << 10 AS now
                 FROM log l
             )
             UPDATE log SET base = last.position - last.now FROM last
             WHERE last.position >= log.base + last.now",
            &[],
        )
        .await
        .map_err(from_pg)?;
    transaction
        .execute(
            "UPDATE subscription SET changed = pg_current_xact_id()
             WHERE changed > pg_current_xact_id()",
            &[],
        )
        .await
        .map_err(from_pg)?;
    transaction.commit().await.map_err(from_pg)?;
    if raised > 0 {
        tracing::info!("log positions go on above those of the cluster the database came from");
    }
    Ok(())
}

impl Migration {
    /// SHA-256 in hexadecimal digits.
    fn checksum(&self) -> String {
        let digest = Sha256::digest(self.sql);
        digest.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

fn named(migrations: &[(i32, &'static Migration)]) -> Migrated {
    let names = migrations.iter().map(|(_, migration)| migration.name);
    Migrated {
        names: names.collect(),
    }
}
