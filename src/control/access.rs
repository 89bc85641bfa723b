//! Who calls: finds the key or the certificate that was shown. What was found is kept, and read
//! again several times a second, so that one that another process revoked is
//! good for less than a second more, whatever gets lost on the way.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};

use super::Result;
use crate::{
    domain::{
        ApiKey, ApiKeyId, Certificate, Clock, Grant, Identity, KeyHash, KeyHasher, KeyText,
        NotAuthenticated,
    },
    storage::Engine,
};

/// When a key that was read is read again by the next call that shows it, while
/// others still go by what was read; and until when they do.
const RENEW: Duration = Duration::from_millis(300);
const UNTIL: Duration = Duration::from_millis(700);
/// How often is looked whether the key of a stream is still good.
const LOOK: Duration = Duration::from_millis(200);
/// Most keys that are kept. One more drops them all, and those in use are read
/// again.
const MAX_KNOWN: usize = 10_000;
/// Keys looked for at once that are not kept. Anybody can make some up, and must
/// not use up the store by it.
const LOOKUPS: usize = 4;

/// How callers are known.
#[derive(Clone)]
pub struct AccessSettings {
    /// Whether calls need a key; else anybody may do everything.
    pub keys_needed: bool,
    /// By what the store knows keys again.
    pub hasher: KeyHasher,
    /// A key for all tenants and scopes that is not in the store.
    pub admin: Option<KeyText>,
    /// Clients that need no key; the first that names one counts.
    pub certificates: Vec<Grant>,
}

/// Knows callers by the keys in a store.
pub(super) struct Access {
    store: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    keys_needed: bool,
    hasher: KeyHasher,
    admin: Option<(ApiKeyId, KeyHash)>,
    certificates: Vec<Grant>,
    known: Mutex<HashMap<ApiKeyId, Known>>,
    lookups: Semaphore,
    /// Told of each key that this process revokes.
    revoked: watch::Sender<()>,
}

/// A key as it was read.
struct Known {
    key: Arc<ApiKey>,
    renew: Instant,
    until: Instant,
}

impl Access {
    pub(super) fn new(
        store: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        settings: AccessSettings,
    ) -> Self {
        let hasher = settings.hasher;
        let admin = settings.admin.map(|key| (key.id(), hasher.hash(&key)));
        Self {
            store,
            clock,
            keys_needed: settings.keys_needed,
            certificates: settings.certificates,
            admin,
            hasher,
            known: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS),
            revoked: watch::Sender::new(()),
        }
    }

    /// What is kept of a key.
    pub(super) fn hash(&self, key: &KeyText) -> KeyHash {
        self.hasher.hash(key)
    }

    /// Who shows this key; without one, whose certificate this is.
    pub(super) async fn identify(
        &self,
        shown: Option<&str>,
        certificate: Option<&Certificate>,
    ) -> Result<Identity> {
        if !self.keys_needed {
            return Ok(Identity::anybody());
        }
        let Some(shown) = shown else {
            return Ok(self.granted(certificate)?);
        };
        let text = shown.parse::<KeyText>();
        let text = text.map_err(|_| NotAuthenticated::Malformed)?;
        let hash = self.hasher.hash(&text);
        if self.admin == Some((text.id(), hash)) {
            return Ok(Identity::anybody());
        }
        let key = self.find(text.id()).await?;
        let key = key.filter(|key| self.hasher.made(key.hash, &text));
        let key = key.ok_or(NotAuthenticated::Unknown)?;
        self.check(&key)?;
        Ok(Identity {
            holder: key.spec.holder.clone(),
            scopes: key.spec.scopes,
            key: Some(key.id),
        })
    }

    /// Who is known by their certificate alone.
    fn granted(&self, certificate: Option<&Certificate>) -> Result<Identity, NotAuthenticated> {
        let certificate = certificate.ok_or(NotAuthenticated::NoKey)?;
        let mut grants = self.certificates.iter();
        let identity = grants.find_map(|grant| grant.identity(certificate));
        identity.ok_or_else(|| NotAuthenticated::NoGrant(certificate.to_string()))
    }

    /// Waits until the key is no longer good, and says why. What is known by no
    /// key lasts.
    pub(super) fn until_refused(
        self: &Arc<Self>,
        key: Option<ApiKeyId>,
    ) -> impl Future<Output = NotAuthenticated> + Send + use<> {
        let access = Arc::clone(self);
        async move {
            let Some(id) = key else {
                return std::future::pending().await;
            };
            let mut revoked = access.revoked.subscribe();
            loop {
                match access.find(id).await {
                    Ok(Some(key)) => {
                        if let Err(why) = access.check(&key) {
                            return why;
                        }
                    }
                    Ok(None) => return NotAuthenticated::Unknown,
                    // While the store is away, streams have nothing to show.
                    Err(_) => {}
                }
                // Either way is looked again.
                let _ = timeout(LOOK, revoked.changed()).await;
            }
        }
    }

    /// Forgets a key that this process revoked, and has its streams look.
    pub(super) fn forget(&self, id: ApiKeyId) {
        self.known.lock().remove(&id);
        self.revoked.send_replace(());
    }

    fn check(&self, key: &ApiKey) -> Result<(), NotAuthenticated> {
        if key.revoke_time.is_some() {
            return Err(NotAuthenticated::Revoked);
        }
        if key.has_expired(self.clock.now()) {
            return Err(NotAuthenticated::Expired);
        }
        Ok(())
    }

    async fn find(&self, id: ApiKeyId) -> Result<Option<Arc<ApiKey>>> {
        let mut unknown = None;
        match self.kept(id) {
            Kept::Good(key) => return Ok(Some(key)),
            Kept::Old => {}
            Kept::Nothing => unknown = self.lookups.acquire().await.ok(),
        }
        let read = Instant::now();
        let found = self.store.find_key(id).await?.map(Arc::new);
        drop(unknown);
        let mut known = self.known.lock();
        let Some(key) = found else {
            known.remove(&id);
            return Ok(None);
        };
        if known.len() >= MAX_KNOWN && !known.contains_key(&id) {
            known.clear();
        }
        let entry = Known {
            key: Arc::clone(&key),
            renew: read + RENEW,
            until: read + UNTIL,
        };
        known.insert(id, entry);
        Ok(Some(key))
    }

    fn kept(&self, id: ApiKeyId) -> Kept {
        let mut known = self.known.lock();
        let Some(entry) = known.get_mut(&id) else {
            return Kept::Nothing;
        };
        let now = Instant::now();
        if now < entry.renew {
            return Kept::Good(Arc::clone(&entry.key));
        }
        // One reads it again, and the others go on by what is kept for as long
        // as they may.
        entry.renew = entry.until.max(now);
        Kept::Old
    }
}

/// What is kept of a key.
enum Kept {
    Good(Arc<ApiKey>),
    /// It has to be read again.
    Old,
    Nothing,
}
