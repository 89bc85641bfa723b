//! Seals the secrets of a store that nobody serves under the newest key.

use std::path::PathBuf;

use super::{
    day::from_kv,
    dir::{DataDir, OpenError},
    fjall::FjallPartition,
    folder::{Database, Folder},
    key::{self, Tag},
    kv::{Batch, Order, Partition, Space, Step},
    open::{Adapter, CATALOG, Settings, from_storage},
    piece,
    row::{read_request, read_subscription, write_request, write_subscription},
    sled::SledPartition,
};
use crate::{
    domain::{Keyring, SubscriptionId},
    storage::Result,
};

/// Rows that are written at once.
const BATCH: usize = 100;

/// Seals what another key sealed, or none, and returns how many rows that were.
pub async fn rewrap(settings: Settings) -> Result<u64, OpenError> {
    let dir = settings.dir.clone();
    let work = tokio::task::spawn_blocking(move || match settings.adapter {
        Adapter::Sled => rewrap_in::<SledPartition>(settings),
        Adapter::Fjall => rewrap_in::<FjallPartition>(settings),
    });
    work.await
        .unwrap_or_else(|panic| Err(OpenError::corrupt(&dir, &panic)))
}

fn rewrap_in<D: Database>(settings: Settings) -> Result<u64, OpenError> {
    DataDir::expect(&settings.dir)?;
    let dir = DataDir::take(settings.dir, settings.adapter.name())?;
    let at = dir.path().join(CATALOG);
    let root = Folder::<D>::new(PathBuf::from(dir.path()));
    let root = root.map_err(|error| OpenError::io(dir.path(), error))?;
    let catalog = root.open(CATALOG, settings.cache_bytes / 16);
    let catalog = catalog.map_err(|error| OpenError::from_kv(&at, error))?;
    let sealed = seal(&*catalog, &settings.keyring);
    sealed.map_err(|error| from_storage(&at, error))
}

/// The same secrets seal to the same bytes, so what stays as it is was sealed
/// under the newest key before.
fn seal(catalog: &dyn Partition, keyring: &Keyring) -> Result<u64> {
    let mut changed = Vec::new();
    for tag in [Tag::Subscription, Tag::Request] {
        let mut keys = Vec::new();
        let visit = &mut |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            Step::Continue(())
        };
        let scanned = catalog.scan(key::every(tag), Order::Forwards, visit);
        scanned.map_err(from_kv)?;
        for key in keys {
            let row = piece::get(catalog, &key)?.ok_or_else(|| piece::malformed(&key))?;
            let sealed = sealed(tag, &key, &row, keyring)?;
            if sealed != row {
                changed.push((key, sealed));
            }
        }
    }
    for rows in changed.chunks(BATCH) {
        let mut batch = Batch::default();
        for (key, row) in rows {
            piece::remove(catalog, &mut batch, key.clone())?;
            piece::put(&mut batch, key.clone(), row);
        }
        catalog.commit(batch).map_err(from_kv)?;
    }
    Ok(changed.len() as u64)
}

fn sealed(tag: Tag, key: &[u8], row: &[u8], keyring: &Keyring) -> Result<Vec<u8>> {
    let malformed = || piece::malformed(key);
    let (tenant, name) = key::named_of(key).ok_or_else(malformed)?;
    if tag == Tag::Request {
        let read = read_request(tenant, row, keyring);
        let (_, created) = read.map_err(|why| why.into_error(malformed))?;
        return Ok(write_request(&created, keyring));
    }
    let id = SubscriptionId::from_bytes(name.try_into().map_err(|_| malformed())?);
    let read = read_subscription(tenant, id, row, keyring);
    let subscription = read.map_err(|why| why.into_error(malformed))?;
    Ok(write_subscription(&subscription, keyring))
}
