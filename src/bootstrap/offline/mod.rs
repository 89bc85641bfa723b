//! Works on stores that no server has open: copies one into another, checks
//! one, counts what is in one. Tells of progress by callbacks and prints
//! nothing.

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
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<Totals> {
    if from.name() == to.name() {
        bail!("{from} is to be copied into itself; name another store to copy into");
    }
    let source = open(from, Purpose::Read).await?;
    let copied = copy_into(&*source, from, to, report).await;
    source.close().await;
    copied
}

async fn copy_into(
    source: &dyn Engine,
    from: &StoreUrl,
    to: &StoreUrl,
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<Totals> {
    let target = open(to, Purpose::CopyInto).await?;
    let copied = copy(source, &from.name(), &*target, CHUNK, report).await;
    target.close().await;
    copied.map_err(|error| match error {
        CopyError::Source(error) => anyhow!(error).context(format!("cannot read {from}")),
        CopyError::Target(error) => anyhow!(error).context(format!("cannot write {to}")),
        error => anyhow!("cannot copy into {to}: {error}"),
    })
}

/// Counts everything that is in a store.
pub async fn count_store(url: &StoreUrl) -> Result<Counts> {
    let store = open(url, Purpose::Read).await?;
    let counts = store.counts().await;
    store.close().await;
    counts.with_context(|| format!("cannot read {url}"))
}

/// Reads everything in a store and tells what should not be so.
pub async fn check_store(url: &StoreUrl, found: Found) -> Result<Checked> {
    match url {
        StoreUrl::Embedded { adapter, dir } => {
            Ok(embedded::check(settings(*adapter, dir), found).await?)
        }
        StoreUrl::Postgres(url) => Ok(postgres::check(url, found).await?),
    }
}

/// Opens a store of any engine.
async fn open(url: &StoreUrl, purpose: Purpose) -> Result<Arc<dyn Engine>> {
    let clock = Arc::new(SystemClock);
    match url {
        StoreUrl::Embedded { adapter, dir } => {
            Ok(embedded::open_for(purpose, settings(*adapter, dir), clock).await?)
        }
        StoreUrl::Postgres(url) => {
            let settings = postgres::Settings::new((**url).clone());
            Ok(postgres::open_for(purpose, settings, clock).await?)
        }
    }
}

fn settings(adapter: Adapter, dir: &Path) -> embedded::Settings {
    embedded::Settings {
        adapter,
        dir: dir.to_owned(),
        cache_bytes: embedded::Settings::DEFAULT_CACHE_BYTES,
    }
}
