//! Seals the secrets of a store under the newest key, also while others serve
//! it: a row that they change meanwhile is sealed by them.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    OpenError, Url,
    connect::{Connection, Connections},
    error::{from_pg, unreadable},
    migrate, root_key,
    row::{to_subscription_id, to_tenant},
    scan::{Bounds, Scan},
};
use crate::{
    domain::Keyring,
    storage::{
        Result,
        row::{read_request, read_subscription, write_request, write_subscription},
    },
};

/// What is looked at together.
const PIECE: Bounds = Bounds {
    rows: 1_000,
    bytes: 4 * 1024 * 1024,
};

/// Seals what another key sealed, or none, and returns how many rows that were.
pub async fn rewrap(url: &Url, keyring: &Keyring) -> Result<u64, OpenError> {
    migrate::expect(url).await?;
    let work = async {
        let client = Connections::to(url, 1)?.get().await?;
        let subscriptions = subscriptions(&client, keyring).await?;
        let requests = requests(&client, keyring).await?;
        root_key::mark(&client, keyring).await?;
        Ok(subscriptions + requests)
    };
    work.await.map_err(OpenError::database(url))
}

async fn subscriptions(client: &Connection, keyring: &Keyring) -> Result<u64> {
    let scan = Scan {
        columns: "id, tenant, content",
        table: "subscription",
        filter: "content IS NOT NULL",
        key: &["id"],
        bytes: &["content"],
    };
    let update = "UPDATE subscription SET content = $1 WHERE content = $2 AND id = $3";
    let (mut after, mut sealed) = (Uuid::nil(), 0);
    loop {
        let piece = scan.read(client, &[&after], PIECE).await?;
        let Some(last) = piece.rows.last() else {
            return Ok(sealed);
        };
        after = last.get("id");
        for row in &piece.rows {
            let (uuid, content): (Uuid, &[u8]) = (row.get("id"), row.get("content"));
            let tenant = to_tenant(row.get("tenant"))?;
            let id = to_subscription_id(uuid);
            let read = read_subscription(tenant, id, content, keyring);
            let subscription = read.map_err(unreadable("subscription"))?;
            let now = write_subscription(&subscription, keyring);
            sealed += replace(client, update, content, now, &[&uuid]).await?;
        }
    }
}

async fn requests(client: &Connection, keyring: &Keyring) -> Result<u64> {
    let scan = Scan {
        columns: "tenant, name, content",
        table: "request",
        filter: "true",
        key: &["tenant", "name"],
        bytes: &["content"],
    };
    let update = "UPDATE request SET content = $1 WHERE content = $2 AND tenant = $3 AND name = $4";
    let (mut tenant, mut name, mut sealed) = (String::new(), Vec::<u8>::new(), 0);
    loop {
        let piece = scan.read(client, &[&tenant, &name], PIECE).await?;
        let Some(last) = piece.rows.last() else {
            return Ok(sealed);
        };
        (tenant, name) = (last.get("tenant"), last.get("name"));
        for row in &piece.rows {
            let content = row.get("content");
            let (of, name): (&str, &[u8]) = (row.get("tenant"), row.get("name"));
            let read = read_request(to_tenant(of)?, content, keyring);
            let (_, created) = read.map_err(unreadable("request"))?;
            let now = write_request(&created, keyring);
            sealed += replace(client, update, content, now, &[&of, &name]).await?;
        }
    }
}

/// Replaces a row's content, unless somebody else does. The same secrets seal to
/// the same bytes, so what stays as it is was sealed under the newest key before.
async fn replace(
    client: &Connection,
    update: &str,
    content: &[u8],
    now: Vec<u8>,
    key: &[&(dyn ToSql + Sync)],
) -> Result<u64> {
    if now == content {
        return Ok(0);
    }
    let statement = client.prepare_cached(update).await.map_err(from_pg)?;
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&now, &content];
    parameters.extend(key);
    let replaced = client.execute(&statement, &parameters).await;
    replaced.map_err(from_pg)
}
