//! Changes of subscriptions, each a transaction that first raises the version
//! of the tenant. That puts the changes of a tenant in a row, and is how
//! publishers on any process learn that what they know is behind.

use std::sync::Arc;

use deadpool_postgres::Transaction;

use super::{
    error::{from_pg, unreadable},
    row::{from_subscription, from_time},
    state::State,
};
use crate::{
    domain::{Keyring, Subscription, SubscriptionId, TenantId, Version},
    storage::{
        Created, Error, Resource, Result, SubscriptionChange,
        idempotency::is_forgotten,
        row::{read_request, write_request, write_subscription},
    },
};

/// A change of one subscription.
pub(super) enum CatalogChange {
    /// See [`crate::storage::Catalog::create_subscription`].
    Create(Box<Subscription>, Option<String>, Option<u32>),
    /// See [`crate::storage::Catalog::replace_subscription`].
    Replace(Box<Subscription>, Version),
    /// See [`crate::storage::Catalog::delete_subscription`].
    Delete(TenantId, SubscriptionId, Option<Version>),
}

/// What a change came to.
enum Made {
    /// The subscription has this version now.
    Changed(SubscriptionChange, Version),
    Repeated(Box<Subscription>),
    Nothing,
}

impl State {
    /// Makes a change, and tells of it once it is durable.
    pub(super) async fn change_catalog(&self, change: CatalogChange) -> Result<Created> {
        let made = self.make(change).await;
        match made.inspect_err(|error| self.note(error))? {
            Made::Repeated(created) => Ok(Created::Repeated(created)),
            Made::Nothing => Ok(Created::TooMany),
            Made::Changed(change, version) => {
                self.note_reached();
                self.tell_change(change, version);
                self.nudge.tell();
                Ok(Created::New)
            }
        }
    }

    async fn make(&self, change: CatalogChange) -> Result<Made> {
        let mut client = self.connection().await?;
        let transaction = client.transaction().await.map_err(from_pg)?;
        raise(&transaction, change.tenant()).await?;
        self.expect_mark_in(&transaction).await?;
        let made = match change {
            CatalogChange::Create(subscription, request, most) => {
                create(&transaction, &self.keyring, *subscription, request, most).await?
            }
            CatalogChange::Replace(subscription, expected) => {
                let (tenant, id) = (&subscription.tenant, subscription.id);
                check(&transaction, tenant, id, Some(expected)).await?;
                replace(&transaction, &self.keyring, &subscription).await?;
                changed(*subscription)
            }
            CatalogChange::Delete(tenant, id, expected) => {
                let current = check(&transaction, &tenant, id, expected).await?;
                delete(&transaction, id).await?;
                let change = SubscriptionChange {
                    tenant,
                    id,
                    now: None,
                };
                Made::Changed(change, Version(current.0 + 1))
            }
        };
        // Who repeats a creation changed nothing, its version included.
        if let Made::Changed(..) = made {
            transaction.commit().await.map_err(from_pg)?;
        }
        Ok(made)
    }
}

impl CatalogChange {
    fn tenant(&self) -> &TenantId {
        match self {
            Self::Create(subscription, ..) | Self::Replace(subscription, _) => &subscription.tenant,
            Self::Delete(tenant, ..) => tenant,
        }
    }
}

/// Raises a tenant's version and keeps other changes waiting until this one is
/// made or given up.
async fn raise(transaction: &Transaction<'_>, tenant: &TenantId) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO tenant (id, version) VALUES ($1, 1)
             ON CONFLICT (id) DO UPDATE SET version = tenant.version + 1",
        )
        .await
        .map_err(from_pg)?;
    let raised = transaction.execute(&statement, &[&tenant.as_str()]).await;
    raised.map(|_| ()).map_err(from_pg)
}

async fn create(
    transaction: &Transaction<'_>,
    keyring: &Keyring,
    subscription: Subscription,
    request: Option<String>,
    most: Option<u32>,
) -> Result<Made> {
    if let Some(request) = &request
        && let Some(created) = created_by(transaction, keyring, request, &subscription).await?
    {
        return Ok(Made::Repeated(Box::new(created)));
    }
    if let Some(most) = most
        && count(transaction, &subscription.tenant).await? >= i64::from(most)
    {
        return Ok(Made::Nothing);
    }
    if let Some(request) = &request {
        remember(transaction, keyring, request, &subscription).await?;
    }
    let statement = transaction
        .prepare_cached(
            "INSERT INTO subscription (id, tenant, version, content, changed)
             VALUES ($1, $2, $3, $4, pg_current_xact_id())",
        )
        .await
        .map_err(from_pg)?;
    let id = from_subscription(subscription.id);
    let tenant = subscription.tenant.as_str();
    let version = from_version(subscription.version);
    let content = write_subscription(&subscription, keyring);
    transaction
        .execute(&statement, &[&id, &tenant, &version, &content])
        .await
        .map_err(from_pg)?;
    Ok(changed(subscription))
}

/// How many subscriptions a tenant has. No other change of them is made
/// meanwhile.
async fn count(transaction: &Transaction<'_>, tenant: &TenantId) -> Result<i64> {
    let sql = "SELECT count(*) FROM subscription WHERE tenant = $1 AND content IS NOT NULL";
    let row = transaction.query_one(sql, &[&tenant.as_str()]).await;
    row.map(|row| row.get(0)).map_err(from_pg)
}

/// What a request created, if it is remembered.
async fn created_by(
    transaction: &Transaction<'_>,
    keyring: &Keyring,
    request: &str,
    subscription: &Subscription,
) -> Result<Option<Subscription>> {
    let statement = transaction
        .prepare_cached("SELECT content FROM request WHERE tenant = $1 AND name = $2")
        .await
        .map_err(from_pg)?;
    let row = transaction
        .query_opt(
            &statement,
            &[&subscription.tenant.as_str(), &request.as_bytes()],
        )
        .await
        .map_err(from_pg)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let tenant = subscription.tenant.clone();
    let read = read_request(tenant, row.get("content"), keyring);
    let (requested, created) = read.map_err(unreadable("request"))?;
    Ok((!is_forgotten(requested, subscription.create_time)).then_some(created))
}

async fn remember(
    transaction: &Transaction<'_>,
    keyring: &Keyring,
    request: &str,
    subscription: &Subscription,
) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO request (tenant, name, create_time, content) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant, name) DO UPDATE
             SET create_time = excluded.create_time, content = excluded.content",
        )
        .await
        .map_err(from_pg)?;
    let tenant = subscription.tenant.as_str();
    let time = from_time(subscription.create_time);
    let content = write_request(subscription, keyring);
    let stored = transaction
        .execute(&statement, &[&tenant, &request.as_bytes(), &time, &content])
        .await;
    stored.map(|_| ()).map_err(from_pg)
}

/// Checks that the subscription is there, in the version that is expected, and
/// returns its version.
async fn check(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    id: SubscriptionId,
    expected: Option<Version>,
) -> Result<Version> {
    let statement = transaction
        .prepare_cached(
            "SELECT version FROM subscription
             WHERE id = $1 AND tenant = $2 AND content IS NOT NULL",
        )
        .await
        .map_err(from_pg)?;
    let row = transaction
        .query_opt(&statement, &[&from_subscription(id), &tenant.as_str()])
        .await
        .map_err(from_pg)?;
    let row = row.ok_or(Error::NotFound(Resource::Subscription(id)))?;
    let current = Version(row.get::<_, i64>("version").unsigned_abs());
    if expected.is_some_and(|expected| expected != current) {
        return Err(Error::VersionMismatch);
    }
    Ok(current)
}

async fn replace(
    transaction: &Transaction<'_>,
    keyring: &Keyring,
    subscription: &Subscription,
) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "UPDATE subscription
             SET version = $2, content = $3, changed = pg_current_xact_id() WHERE id = $1",
        )
        .await
        .map_err(from_pg)?;
    let id = from_subscription(subscription.id);
    let version = from_version(subscription.version);
    let content = write_subscription(subscription, keyring);
    let replaced = transaction
        .execute(&statement, &[&id, &version, &content])
        .await;
    replaced.map(|_| ()).map_err(from_pg)
}

async fn delete(transaction: &Transaction<'_>, id: SubscriptionId) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "UPDATE subscription
             SET version = version + 1, content = NULL, changed = pg_current_xact_id()
             WHERE id = $1",
        )
        .await
        .map_err(from_pg)?;
    let deleted = transaction
        .execute(&statement, &[&from_subscription(id)])
        .await;
    deleted.map(|_| ()).map_err(from_pg)
}

fn changed(subscription: Subscription) -> Made {
    let version = subscription.version;
    let change = SubscriptionChange {
        tenant: subscription.tenant.clone(),
        id: subscription.id,
        now: Some(Arc::new(subscription)),
    };
    Made::Changed(change, version)
}

fn from_version(version: Version) -> i64 {
    i64::try_from(version.0).unwrap_or(i64::MAX)
}
