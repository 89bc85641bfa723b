//! Keeping subscriptions.

use std::{sync::Arc, time::Duration};

use super::{Control, Error, List, Listed, Result, SpecPatch};
use crate::{
    domain::{
        LiveKeys, LiveSecrets, Secret, SigningKey, State, StateCode, Subscription, SubscriptionId,
        SubscriptionSpec, TenantId, Timestamp, Version,
    },
    storage::{self, Created},
};

/// How often a change is decided anew because somebody else was faster.
const MAX_CHANGES: usize = 10;

/// A subscription to create.
#[derive(Debug, Clone)]
pub struct CreateSubscription {
    /// What its owner decides.
    pub spec: SubscriptionSpec,
    /// The owner's own secret; generated if `None`.
    pub secret: Option<Secret>,
    /// The owner's own signing key; generated if it is needed and `None`.
    pub signing_key: Option<SigningKey>,
    /// Makes the call idempotent.
    pub request_id: Option<String>,
    /// Creates nothing.
    pub validate_only: bool,
}

impl CreateSubscription {
    /// Whether it asks for the subscription that was created before.
    fn is_repeated_by(&self, first: &Subscription) -> bool {
        let secret = self.secret.as_ref();
        let key = self.signing_key.as_ref();
        let first_key = first.signing_keys.as_ref().map(LiveKeys::newest);
        self.spec == first.spec
            && secret.is_none_or(|secret| secret == first.secrets.newest())
            && key.is_none_or(|key| Some(key) == first_key)
    }
}

/// A change of a subscription.
#[derive(Debug, Clone)]
pub struct UpdateSubscription {
    /// Which.
    pub id: SubscriptionId,
    /// The version the caller saw, if that matters.
    pub expected: Option<Version>,
    /// The new values.
    pub patch: SpecPatch,
    /// Changes nothing.
    pub validate_only: bool,
}

/// What a rotation makes the newest; generated where it is `None`.
#[derive(Debug, Clone)]
pub enum Renewal {
    /// The secret that receivers know too.
    Secret(Option<Secret>),
    /// The key of which receivers know the public half.
    SigningKey(Option<SigningKey>),
}

/// A subscription with a new secret or signing key.
#[derive(Debug, Clone)]
pub struct Rotated {
    /// The subscription.
    pub subscription: Arc<Subscription>,
    /// Whether it was the secret that was renewed.
    pub secret_renewed: bool,
    /// How many of the renewed kind sign now.
    pub live_secrets: usize,
}

impl Control {
    /// Creates a subscription. A repeated call with the same request id returns
    /// what the first one did.
    pub async fn create_subscription(
        &self,
        tenant: &TenantId,
        create: CreateSubscription,
    ) -> Result<Subscription> {
        self.check_url(&create.spec.url).await?;
        let now = self.clock.now();
        let secret = create.secret.clone().unwrap_or_else(|| self.new_secret());
        let mut subscription = Subscription::new(
            SubscriptionId::new(now, self.random.bits()),
            tenant.clone(),
            create.spec.clone(),
            LiveSecrets::new(secret),
            now,
        );
        subscription.signing_keys = create.signing_key.clone().map(LiveKeys::new);
        let subscription = subscription.or_signing_key(|| self.new_signing_key());
        if create.validate_only {
            return Ok(subscription);
        }
        let stored = subscription.clone();
        match self
            .store
            .create_subscription(
                stored,
                create.request_id.clone(),
                self.meter.subscriptions(tenant),
            )
            .await?
        {
            Created::New => Ok(subscription),
            Created::TooMany => Err(self.too_many_subscriptions(tenant)),
            Created::Repeated(first) => {
                if create.is_repeated_by(&first) {
                    Ok(*first)
                } else {
                    Err(Error::RequestIdReused)
                }
            }
        }
    }

    /// Returns a subscription.
    pub async fn subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
    ) -> Result<Arc<Subscription>> {
        Ok(self.store.subscription(tenant, id).await?)
    }

    /// Lists subscriptions, newest first.
    pub async fn list_subscriptions(
        &self,
        tenant: &TenantId,
        list: &List,
    ) -> Result<Listed<Arc<Subscription>>> {
        let scope = ("subscriptions", tenant);
        let page = list.request(&scope)?;
        let page = self.store.list_subscriptions(tenant, page).await?;
        Ok(Listed::new(page, &scope))
    }

    /// Changes some of what the owner decides.
    pub async fn update_subscription(
        &self,
        tenant: &TenantId,
        update: UpdateSubscription,
    ) -> Result<Arc<Subscription>> {
        if let Some(url) = &update.patch.url {
            self.check_url(url).await?;
        }
        let changed = |old: &Subscription, now| {
            if update
                .expected
                .is_some_and(|expected| expected != old.version)
            {
                return Err(Error::EtagMismatch);
            }
            let spec = update.patch.clone().apply(old.spec.clone());
            if spec == old.spec {
                return Ok(old.clone());
            }
            let new = old.with_spec(spec, now);
            Ok(new.or_signing_key(|| self.new_signing_key()))
        };
        if update.validate_only {
            let old = self.subscription(tenant, update.id).await?;
            return changed(&old, self.clock.now()).map(Arc::new);
        }
        self.change_subscription(tenant, update.id, changed).await
    }

    /// Deletes a subscription, if its version is the expected one where given.
    pub async fn delete_subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        expected: Option<Version>,
    ) -> Result<()> {
        let now = self.clock.now();
        Ok(self
            .store
            .delete_subscription(tenant, id, expected, now)
            .await?)
    }

    /// Enables or disables a subscription; nothing happens if it is so already.
    pub async fn set_subscription_state(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        state: State,
        message: String,
    ) -> Result<Arc<Subscription>> {
        self.change_subscription(tenant, id, |old, now| {
            Ok(old.with_state(state, StateCode::Requested, message.clone(), now))
        })
        .await
    }

    /// Makes a new secret or key the signing one; the older ones of its kind go
    /// on for the overlap.
    pub async fn rotate_secret(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        renewal: Renewal,
        overlap: Duration,
    ) -> Result<Rotated> {
        match renewal {
            Renewal::Secret(secret) => {
                let secret = secret.unwrap_or_else(|| self.new_secret());
                self.rotate_shared(tenant, id, secret, overlap).await
            }
            Renewal::SigningKey(key) => {
                let key = key.unwrap_or_else(|| self.new_signing_key());
                self.rotate_key(tenant, id, key, overlap).await
            }
        }
    }

    async fn rotate_shared(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        secret: Secret,
        overlap: Duration,
    ) -> Result<Rotated> {
        let rotate = |old: &Subscription, now| {
            let secrets = old.secrets.rotate(secret.clone(), overlap, now);
            let secrets = secrets.map_err(|invalid| Error::invalid("overlap", invalid))?;
            Ok(old.with_secrets(secrets, now))
        };
        let subscription = self.change_subscription(tenant, id, rotate).await?;
        let live_secrets = subscription.secrets.live(self.clock.now()).count();
        Ok(Rotated {
            subscription,
            secret_renewed: true,
            live_secrets,
        })
    }

    async fn rotate_key(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        key: SigningKey,
        overlap: Duration,
    ) -> Result<Rotated> {
        let rotate = |old: &Subscription, now| {
            let keys = match &old.signing_keys {
                Some(keys) => keys.rotate(key.clone(), overlap, now),
                None => Ok(LiveKeys::new(key.clone())),
            };
            let keys = keys.map_err(|invalid| Error::invalid("overlap", invalid))?;
            Ok(old.with_signing_keys(keys, now))
        };
        let subscription = self.change_subscription(tenant, id, rotate).await?;
        let keys = subscription.signing_keys.as_ref();
        let live_secrets = keys.map_or(0, |keys| keys.live(self.clock.now()).count());
        Ok(Rotated {
            subscription,
            secret_renewed: false,
            live_secrets,
        })
    }

    /// Decides what becomes of a subscription, and decides anew if somebody
    /// else changed it meanwhile.
    async fn change_subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        change: impl Fn(&Subscription, Timestamp) -> Result<Subscription>,
    ) -> Result<Arc<Subscription>> {
        for _ in 0..MAX_CHANGES {
            let old = self.store.subscription(tenant, id).await?;
            let new = change(&old, self.clock.now())?;
            if new.version == old.version {
                return Ok(old);
            }
            let stored = new.clone();
            match self.store.replace_subscription(stored, old.version).await {
                Err(storage::Error::VersionMismatch) => {}
                replaced => return Ok(replaced.map(|()| Arc::new(new))?),
            }
        }
        Err(Error::Contended)
    }

    fn new_secret(&self) -> Secret {
        Secret::generate(self.random_bytes())
    }

    fn new_signing_key(&self) -> SigningKey {
        SigningKey::from_private(self.random_bytes())
    }
}
