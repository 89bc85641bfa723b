//! API keys. The operator's have no tenant, which is written as an empty name.

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    error::{from_pg, malformed},
    store::Store,
};
use crate::{
    domain::{ApiKey, ApiKeyId, Holder, Timestamp},
    storage::{
        Cursor, Error, Keys, Page, PageRequest, Resource, Result,
        row::{read_api_key, write_api_key},
    },
};

#[async_trait]
impl Keys for Store {
    async fn create_key(&self, key: ApiKey) -> Result<()> {
        let client = self.state.connection().await?;
        let content = write_api_key(&key);
        let created = client
            .execute(
                "INSERT INTO api_key (id, tenant, content) VALUES ($1, $2, $3)",
                &[&from_key(key.id), &tenant(&key.spec.holder), &content],
            )
            .await;
        let created = created.map_err(from_pg);
        created.inspect_err(|error| self.state.note(error))?;
        self.state.note_reached();
        Ok(())
    }

    async fn find_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        let client = self.state.connection().await?;
        let statement = client
            .prepare_cached("SELECT id, content FROM api_key WHERE id = $1")
            .await
            .map_err(from_pg)?;
        let found = client.query_opt(&statement, &[&from_key(id)]).await;
        let found = found.map_err(from_pg)?;
        found.as_ref().map(api_key).transpose()
    }

    async fn list_keys(&self, holder: &Holder, page: PageRequest) -> Result<Page<ApiKey>> {
        // No id of a key is that large: ids say their version.
        let below = match &page.cursor {
            None => Uuid::max(),
            Some(Cursor(bytes)) => {
                Uuid::from_slice(bytes).map_err(|_| Error::Corrupt("cursor".to_owned()))?
            }
        };
        let limit = i64::try_from(page.size.saturating_add(1)).unwrap_or(i64::MAX);
        let client = self.state.connection().await?;
        let rows = client
            .query(
                "SELECT id, content FROM api_key
                 WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
                &[&tenant(holder), &below, &limit],
            )
            .await
            .map_err(from_pg)?;
        let shown = rows.iter().take(page.size).map(api_key);
        let items: Vec<_> = shown.collect::<Result<_>>()?;
        let last = items.last().filter(|_| rows.len() > page.size);
        let next = last.map(|last| Cursor(last.id.to_bytes().to_vec()));
        Ok(Page { items, next })
    }

    async fn revoke_key(&self, holder: &Holder, id: ApiKeyId, now: Timestamp) -> Result<ApiKey> {
        let revoked = self.revoke(holder, id, now).await;
        revoked.inspect_err(|error| self.state.note(error))
    }
}

impl Store {
    async fn revoke(&self, holder: &Holder, id: ApiKeyId, now: Timestamp) -> Result<ApiKey> {
        let mut client = self.state.connection().await?;
        let transaction = client.transaction().await.map_err(from_pg)?;
        let hold = "SELECT id, content FROM api_key WHERE id = $1 AND tenant = $2 FOR UPDATE";
        let found = transaction
            .query_opt(hold, &[&from_key(id), &tenant(holder)])
            .await
            .map_err(from_pg)?;
        let found = found.ok_or(Error::NotFound(Resource::ApiKey(id)))?;
        let revoked = api_key(&found)?.revoked(now);
        let put = "UPDATE api_key SET content = $2 WHERE id = $1";
        transaction
            .execute(put, &[&from_key(id), &write_api_key(&revoked)])
            .await
            .map_err(from_pg)?;
        transaction.commit().await.map_err(from_pg)?;
        self.state.note_reached();
        Ok(revoked)
    }
}

/// The key of a row.
pub(super) fn api_key(row: &Row) -> Result<ApiKey> {
    let id = ApiKeyId::from_bytes(row.get::<_, Uuid>("id").into_bytes());
    read_api_key(id, row.get("content")).map_err(malformed("API key"))
}

pub(super) fn from_key(id: ApiKeyId) -> Uuid {
    Uuid::from_bytes(id.to_bytes())
}

/// The tenant of a row.
pub(super) fn tenant(holder: &Holder) -> &str {
    match holder {
        Holder::Tenant(tenant) => tenant.as_str(),
        Holder::Operator => "",
    }
}
