//! Brings a database up to date without serving from it.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::store::database;
use crate::{
    config::{Config, EngineName},
    storage::{
        Error,
        postgres::{self, Migrated, OpenError, Url},
    },
    telemetry,
};

/// Pause before a database that cannot be reached is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Migrations that a database does not have yet.
#[derive(Debug, thiserror::Error)]
#[error("{url} lacks migrations: {}; run `postrider migrate`", .names.join(", "))]
pub struct Pending {
    url: Url,
    names: Vec<&'static str>,
}

/// Applies the migrations that are missing and returns their names. A database
/// that cannot be reached is waited for so long. An engine without a database
/// has none.
pub async fn migrate(config: &Config, wait: Duration) -> Result<Vec<&'static str>> {
    telemetry::start(&config.log)?;
    if config.storage.engine != EngineName::Postgres {
        return Ok(Vec::new());
    }
    let url = database(&config.storage)?;
    let applied = reached(wait, async || postgres::migrate(&url).await).await?;
    Ok(applied.names)
}

/// Fails with [`Pending`] if migrations are missing. Changes nothing.
pub async fn check(config: &Config, wait: Duration) -> Result<()> {
    telemetry::start(&config.log)?;
    if config.storage.engine != EngineName::Postgres {
        return Ok(());
    }
    let url = database(&config.storage)?;
    let missing = reached(wait, async || postgres::pending(&url).await).await?;
    if missing.names.is_empty() {
        return Ok(());
    }
    let names = missing.names;
    Err(Pending { url, names }.into())
}

/// Does it once the database can be reached.
async fn reached(
    wait: Duration,
    ask: impl AsyncFn() -> Result<Migrated, OpenError>,
) -> Result<Migrated, OpenError> {
    let began = Instant::now();
    loop {
        let left = wait.saturating_sub(began.elapsed());
        match ask().await {
            Err(OpenError::Database {
                source: Error::Unavailable(why),
                ..
            }) if !left.is_zero() => {
                tracing::info!(
                    error = &*why as &dyn std::error::Error,
                    "database is waited for"
                );
                sleep(PAUSE.min(left)).await;
            }
            done => return done,
        }
    }
}
