//! Keeping subscriptions.

use std::{sync::Arc, time::Duration};

use super::{Control, Error, List, Listed, Result, SpecPatch};
use crate::{
    domain::{
        LiveSecrets, Secret, State, StateCode, Subscription, SubscriptionId, SubscriptionSpec,
        TenantId, Timestamp, Version,
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
    /// Makes the call idempotent.
    pub request_id: Option<String>,
    /// Creates nothing.
    pub validate_only: bool,
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

/// A subscription with a new secret.
#[derive(Debug, Clone)]
pub struct Rotated {
    /// The subscription.
    pub subscription: Arc<Subscription>,
    /// How many secrets sign now.
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
        let now = self.clock.now();
        let secret = create.secret.clone().unwrap_or_else(|| self.new_secret());
        let subscription = Subscription::new(
            SubscriptionId::new(now, self.random.bits()),
            tenant.clone(),
            create.spec.clone(),
            LiveSecrets::new(secret),
            now,
        );
        if create.validate_only {
            return Ok(subscription);
        }
        let stored = subscription.clone();
        match self
            .store
            .create_subscription(stored, create.request_id)
            .await?
        {
            Created::New => Ok(subscription),
            Created::Repeated(first) => {
                let own_secret = create.secret.as_ref();
                let same = first.spec == create.spec
                    && own_secret.is_none_or(|secret| secret == first.secrets.newest());
                if same {
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
            Ok(old.with_spec(spec, now))
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

    /// Makes a new secret the signing one; the older ones go on for the
    /// overlap.
    pub async fn rotate_secret(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        secret: Option<Secret>,
        overlap: Duration,
    ) -> Result<Rotated> {
        let secret = secret.unwrap_or_else(|| self.new_secret());
        let subscription = self
            .change_subscription(tenant, id, |old, now| {
                let secrets = old
                    .secrets
                    .rotate(secret.clone(), overlap, now)
                    .map_err(|invalid| Error::invalid("overlap", invalid))?;
                Ok(old.with_secrets(secrets, now))
            })
            .await?;
        let live_secrets = subscription.secrets.live(self.clock.now()).count();
        Ok(Rotated {
            subscription,
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
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes);
        Secret::generate(bytes)
    }
}
