//! Opens the store that the configuration names.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::{
    config::{EngineName, Storage},
    domain::{Clock, Keyring},
    storage::{
        Engine,
        embedded::{self, Adapter},
        postgres::{self, Url},
    },
};

/// Opens the store; says also where it is, without a password.
pub(super) async fn open(
    config: &Storage,
    keyring: Keyring,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<dyn Engine>, String)> {
    let adapter = match config.engine {
        EngineName::Sled => Adapter::Sled,
        EngineName::Fjall => Adapter::Fjall,
        EngineName::Postgres => return open_database(config, keyring, clock).await,
    };
    let settings = embedded::Settings {
        adapter,
        dir: config.data_dir.clone(),
        cache_bytes: config.cache_size,
        keyring,
    };
    let store = embedded::open(settings, clock).await?;
    Ok((store, config.data_dir.display().to_string()))
}

async fn open_database(
    config: &Storage,
    keyring: Keyring,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<dyn Engine>, String)> {
    let url = database(config)?;
    let place = url.to_string();
    let settings = postgres::Settings {
        connections: config.connections,
        lease: config.lease,
        ..postgres::Settings::new(url, keyring)
    };
    Ok((postgres::open(settings, clock).await?, place))
}

/// The database that the configuration names.
pub(super) fn database(config: &Storage) -> Result<Url> {
    let url = config.url.expose().parse();
    url.context("storage.url")
}
