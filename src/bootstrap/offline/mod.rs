//! Works on stores that no server has open: copies one into another, checks one,
//! counts what is in one, seals its secrets anew. Tells of progress by callbacks
//! and prints nothing.

mod keys;
mod url;

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, anyhow, bail};

pub use url::StoreUrl;

pub use crate::{
    domain::Timestamp,
    storage::{Checked, Counts, DayCounts, Finding, Found, Progress, Totals},
};

use super::SystemClock;
use crate::storage::{
    ChunkSize, CopyError, Engine, Purpose, copy,
    embedded::{self, Adapter},
    postgres,
};
use crate::{
    config::Secrets,
    domain::{Keyring, RootKeys},
};

/// Much enough that a sync costs little, and little enough to be held twice.
const CHUNK: ChunkSize = ChunkSize {
    records: 1_000,
    bytes: 1024 * 1024,
};

/// Copies all of a store into an empty one and returns what there was, as
/// counted in both. A copy that was cut off goes on where it stopped.
pub async fn copy_store(
    from: &StoreUrl,
    to: &StoreUrl,
    secrets: &Secrets,
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<Totals> {
    if from.name() == to.name() {
        bail!("{from} is to be copied into itself; name another store to copy into");
    }
    let keys = keys::of(from, secrets)?;
    let source = open(from, &keys, Purpose::Read).await?;
    let copied = async {
        // Nothing is made of the target before the source is open.
        let target = keys::of_copy(to, secrets, &keys)?;
        copy_into(&*source, from, to, &target, report).await
    };
    let copied = copied.await;
    source.close().await;
    copied
}

async fn copy_into(
    source: &dyn Engine,
    from: &StoreUrl,
    to: &StoreUrl,
    keys: &RootKeys,
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<Totals> {
    let target = open(to, keys, Purpose::CopyInto).await?;
    let copied = copy(source, &from.name(), &*target, CHUNK, report).await;
    target.close().await;
    copied.map_err(|error| match error {
        CopyError::Source(error) => anyhow!(error).context(format!("cannot read {from}")),
        CopyError::Target(error) => anyhow!(error).context(format!("cannot write {to}")),
        error => anyhow!("cannot copy into {to}: {error}"),
    })
}

/// Counts everything that is in a store.
pub async fn count_store(url: &StoreUrl, secrets: &Secrets) -> Result<Counts> {
    let store = open(url, &keys::of(url, secrets)?, Purpose::Read).await?;
    let counts = store.counts().await;
    store.close().await;
    counts.with_context(|| format!("cannot read {url}"))
}

/// Reads everything in a store and tells what should not be so.
pub async fn check_store(url: &StoreUrl, secrets: &Secrets, found: Found) -> Result<Checked> {
    let keyring = keyring(&keys::of(url, secrets)?);
    match url {
        StoreUrl::Embedded { adapter, dir } => {
            Ok(embedded::check(settings(*adapter, dir, keyring), found).await?)
        }
        StoreUrl::Postgres(url) => Ok(postgres::check(url, keyring, found).await?),
    }
}

/// Seals the secrets in a store under the newest key, and returns how many rows
/// were not. A database may be served meanwhile.
pub async fn rewrap_store(url: &StoreUrl, secrets: &Secrets) -> Result<u64> {
    let keyring = keyring(&keys::of(url, secrets)?);
    match url {
        StoreUrl::Embedded { adapter, dir } => {
            Ok(embedded::rewrap(settings(*adapter, dir, keyring)).await?)
        }
        StoreUrl::Postgres(url) => Ok(postgres::rewrap(url, &keyring).await?),
    }
}

fn keyring(keys: &RootKeys) -> Keyring {
    Keyring::new(&keys.newest, &keys.older)
}

/// Opens a store of any engine.
async fn open(url: &StoreUrl, keys: &RootKeys, purpose: Purpose) -> Result<Arc<dyn Engine>> {
    let keyring = keyring(keys);
    let clock = Arc::new(SystemClock);
    match url {
        StoreUrl::Embedded { adapter, dir } => {
            Ok(embedded::open_for(purpose, settings(*adapter, dir, keyring), clock).await?)
        }
        StoreUrl::Postgres(url) => {
            let settings = postgres::Settings::new((**url).clone(), keyring);
            Ok(postgres::open_for(purpose, settings, clock).await?)
        }
    }
}

fn settings(adapter: Adapter, dir: &Path, keyring: Keyring) -> embedded::Settings {
    embedded::Settings {
        adapter,
        dir: dir.to_owned(),
        cache_bytes: embedded::Settings::DEFAULT_CACHE_BYTES,
        keyring,
    }
}
