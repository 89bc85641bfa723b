//! API keys.

use async_trait::async_trait;

use super::{Page, PageRequest, Result};
use crate::domain::{ApiKey, ApiKeyId, Holder, Timestamp};

/// Keeps API keys. None is ever removed, so that it can be told what became of
/// it.
#[async_trait]
pub trait Keys: Send + Sync + 'static {
    /// Stores a new key.
    async fn create_key(&self, key: ApiKey) -> Result<()>;

    /// Returns a key of any holder, as the last write left it on whatever
    /// process: for those who check a key that is shown, never for a caller.
    async fn find_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>>;

    /// Lists a holder's keys, newest first.
    async fn list_keys(&self, holder: &Holder, page: PageRequest) -> Result<Page<ApiKey>>;

    /// Revokes a holder's key and returns it, as it was if it was revoked
    /// before.
    async fn revoke_key(&self, holder: &Holder, id: ApiKeyId, now: Timestamp) -> Result<ApiKey>;
}
