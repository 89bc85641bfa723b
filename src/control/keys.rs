//! Keeping API keys.

use super::{Control, Error, List, Listed, Result};
use crate::{
    domain::{
        ApiKey, ApiKeyId, ApiKeySpec, Caller, Certificate, Holder, Identity, KeyText, NotAdmitted,
        NotAuthenticated, Scope,
    },
    storage,
};

impl Control {
    /// Who shows this key; without one, whose certificate this is.
    pub async fn identify(
        &self,
        shown: Option<&str>,
        certificate: Option<&Certificate>,
    ) -> Result<Identity> {
        self.access.identify(shown, certificate).await
    }

    /// Waits until the key is no longer good, and says why; for ever if there
    /// is none.
    pub fn until_refused(
        &self,
        key: Option<ApiKeyId>,
    ) -> impl Future<Output = NotAuthenticated> + Send + use<> {
        self.access.until_refused(key)
    }

    /// Creates a key. Its text is in no other answer.
    pub async fn create_key(&self, spec: ApiKeySpec) -> Result<(ApiKey, KeyText)> {
        let (key, text) = self.make_key(spec);
        self.put_key(&key).await?;
        Ok((key, text))
    }

    /// A key that is good for nothing until it is stored.
    pub fn make_key(&self, spec: ApiKeySpec) -> (ApiKey, KeyText) {
        let now = self.clock.now();
        let id = ApiKeyId::new(now, self.random.bits());
        let text = KeyText::generate(id, self.random_bytes());
        let key = ApiKey {
            id,
            spec,
            hash: self.access.hash(&text),
            create_time: now,
            revoke_time: None,
        };
        (key, text)
    }

    /// Stores a key that was made.
    pub async fn put_key(&self, key: &ApiKey) -> Result<()> {
        Ok(self.store.create_key(key.clone()).await?)
    }

    /// Lists a holder's keys, newest first.
    pub async fn list_keys(&self, holder: &Holder, list: &List) -> Result<Listed<ApiKey>> {
        let scope = ("keys", holder);
        let page = list.request(&scope)?;
        let page = self.store.list_keys(holder, page).await?;
        Ok(Listed::new(page, &scope))
    }

    /// Revokes a key of those whom the caller may act for.
    pub async fn revoke_key(&self, caller: &Caller, id: ApiKeyId) -> Result<ApiKey> {
        let now = self.clock.now();
        let own = Holder::Tenant(caller.tenant.clone());
        let mut revoked = self.store.revoke_key(&own, id, now).await;
        if caller.is_operator && matches!(revoked, Err(storage::Error::NotFound(_))) {
            let all = Holder::Operator;
            revoked = self.store.revoke_key(&all, id, now).await;
        }
        let revoked = revoked?;
        self.access.forget(id);
        Ok(revoked)
    }

    /// Whether the store has a key by which more can be made for all tenants.
    pub async fn has_operator(&self) -> Result<bool> {
        let now = self.clock.now();
        let mut list = List::default();
        loop {
            let page = self.list_keys(&Holder::Operator, &list).await?;
            let mut keys = page.items.iter();
            if keys.any(|key| key.is_good(now) && key.spec.scopes.contains(Scope::Admin)) {
                return Ok(true);
            }
            if page.next_page_token.is_empty() {
                return Ok(false);
            }
            list.page_token = page.next_page_token;
        }
    }
}

impl From<NotAdmitted> for Error {
    fn from(refused: NotAdmitted) -> Self {
        match refused {
            NotAdmitted::NotAllowed(why) => why.into(),
            NotAdmitted::Tenant(invalid) => Self::invalid("postrider-tenant", invalid),
        }
    }
}
