//! API keys: kept in the catalog by their ids alone, since there are few and the
//! one that is shown says only its id. A list looks at all of them.

use std::ops::Bound;

use async_trait::async_trait;

use super::{
    committer::Committer,
    day::from_kv,
    key::{self, Tag},
    kv::{Batch, Order, Step},
    piece,
    row::{read_api_key, write_api_key},
    state::State,
    store::Store,
    write::Write,
};
use crate::{
    domain::{ApiKey, ApiKeyId, Holder, Timestamp},
    storage::{Cursor, Error, Keys, Page, PageRequest, Resource, Result},
};

/// What is to be written of an API key.
pub(super) enum KeyWrite {
    /// See [`Keys::create_key`].
    Create(Box<ApiKey>),
    /// See [`Keys::revoke_key`].
    Revoke(Holder, ApiKeyId, Timestamp),
}

#[async_trait]
impl Keys for Store {
    async fn create_key(&self, key: ApiKey) -> Result<()> {
        let create = KeyWrite::Create(Box::new(key));
        self.write(|reply| Write::Key(create, reply)).await?;
        Ok(())
    }

    async fn find_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        self.read(move |state| state.find_key(id)).await
    }

    async fn list_keys(&self, holder: &Holder, page: PageRequest) -> Result<Page<ApiKey>> {
        let holder = holder.clone();
        self.read(move |state| state.list_keys(&holder, &page))
            .await
    }

    async fn revoke_key(&self, holder: &Holder, id: ApiKeyId, now: Timestamp) -> Result<ApiKey> {
        let revoke = KeyWrite::Revoke(holder.clone(), id, now);
        self.write(|reply| Write::Key(revoke, reply)).await
    }
}

impl State {
    fn find_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        let key = key::api_key(id);
        let row = piece::get(&*self.catalog()?, &key)?;
        row.map(|row| read_api_key(id, &row).map_err(|_| piece::malformed(&key)))
            .transpose()
    }

    fn list_keys(&self, holder: &Holder, page: &PageRequest) -> Result<Page<ApiKey>> {
        let (first, end) = key::every(Tag::ApiKey);
        let end = match &page.cursor {
            None => end,
            Some(Cursor(bytes)) => {
                let id = bytes.as_slice().try_into();
                let id = id.map_err(|_| Error::Corrupt("cursor".to_owned()))?;
                Bound::Excluded(key::api_key(ApiKeyId::from_bytes(id)))
            }
        };
        let catalog = self.catalog()?;
        let mut rows = Vec::new();
        let visit = &mut |key: &[u8], first: &[u8]| {
            rows.push((key.to_vec(), first.to_vec()));
            Step::Continue(())
        };
        catalog
            .scan((first, end), Order::Backwards, visit)
            .map_err(from_kv)?;
        let mut items = Vec::new();
        for (key, first) in rows {
            let row = piece::join(&*catalog, &key, &first)?;
            let id = key::api_key_of(&key).ok_or_else(|| piece::malformed(&key))?;
            let found = read_api_key(id, &row).map_err(|_| piece::malformed(&key))?;
            if found.spec.holder == *holder {
                items.push(found);
            }
            if items.len() > page.size {
                break;
            }
        }
        let more = items.len() > page.size;
        items.truncate(page.size);
        let last = items.last().filter(|_| more);
        let next = last.map(|last| Cursor(last.id.to_bytes().to_vec()));
        Ok(Page { items, next })
    }
}

impl Committer {
    /// Writes what is asked for of an API key, and returns that.
    pub(super) fn write_key(&mut self, write: KeyWrite) -> Result<ApiKey> {
        self.check_health()?;
        match write {
            KeyWrite::Create(key) => {
                self.state.admit(0)?;
                self.put_key(*key)
            }
            KeyWrite::Revoke(holder, id, now) => {
                let found = self.state.find_key(id)?;
                let found = found.filter(|found| found.spec.holder == holder);
                let found = found.ok_or(Error::NotFound(Resource::ApiKey(id)))?;
                self.put_key(found.revoked(now))
            }
        }
    }

    fn put_key(&self, new: ApiKey) -> Result<ApiKey> {
        let key = key::api_key(new.id);
        let mut batch = Batch::default();
        piece::remove(&*self.catalog, &mut batch, key.clone())?;
        piece::put(&mut batch, key, &write_api_key(&new));
        self.commit_catalog(batch)?;
        Ok(new)
    }
}
