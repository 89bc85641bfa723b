//! What belongs to no day: whether it reads, and whether what there has to be is
//! there.

use uuid::Uuid;

use super::{PIECE, Report};
use crate::{
    domain::ReplayState,
    storage::{
        Result,
        postgres::{
            api_key::{api_key, tenant},
            connect::Connection,
            error::from_pg,
            ownership::SHARDS,
            replay::replay,
            row::{to_subscription_id, to_tenant},
            scan::Scan,
        },
        row::{Unreadable, read_copying, read_request, read_subscription},
    },
};

pub(super) async fn audit(client: &Connection, report: &mut Report) -> Result<()> {
    let single = single_rows(client, report).await;
    report.survive(single)?;
    report.enter("subscription");
    let subscriptions = subscriptions(client, report).await;
    report.survive(subscriptions)?;
    report.enter("request");
    let requests = requests(client, report).await;
    report.survive(requests)?;
    report.enter("replay");
    let replays = replays(client, report).await;
    report.survive(replays)?;
    report.enter("api_key");
    let keys = api_keys(client, report).await;
    report.survive(keys)
}

async fn single_rows(client: &Connection, report: &mut Report) -> Result<()> {
    report.enter("copying");
    let rows = client.query("SELECT content FROM copying", &[]).await;
    for row in rows.map_err(from_pg)? {
        match read_copying(row.get("content")) {
            Ok(copying) => report.find(format!("a copy from {} is not finished", copying.source)),
            Err(_) => report.malformed("of the copy that is not finished"),
        }
    }
    let sql = "SELECT (SELECT count(*) FROM log) AS logs,
                   (SELECT count(*) FROM shard_lease WHERE shard BETWEEN 0 AND $1 - 1) AS shards";
    let shards = i32::try_from(SHARDS).unwrap_or(i32::MAX);
    let row = client.query_one(sql, &[&shards]).await.map_err(from_pg)?;
    let logs: i64 = row.get("logs");
    if logs != 1 {
        report.enter("log");
        report.find(format!("has {logs} rows instead of one"));
    }
    let found: i64 = row.get("shards");
    if found != i64::from(shards) {
        report.enter("shard_lease");
        report.find(format!(
            "has {found} of {shards} shards; what is in the others is never sent"
        ));
    }
    Ok(())
}

async fn subscriptions(client: &Connection, report: &mut Report) -> Result<()> {
    let scan = Scan {
        columns: "s.id, s.tenant, s.version, s.content,
            EXISTS (SELECT FROM tenant t WHERE t.id = s.tenant) AS has_version",
        table: "subscription s",
        filter: "s.content IS NOT NULL",
        key: &["s.id"],
        bytes: &["s.content"],
    };
    let mut after = Uuid::nil();
    loop {
        let piece = scan.read(client, &[&after], PIECE).await?;
        let Some(last) = piece.rows.last() else {
            return Ok(());
        };
        after = last.get("id");
        for row in &piece.rows {
            let id = to_subscription_id(row.get("id"));
            let version = row.get::<_, i64>("version").unsigned_abs();
            let totals = &mut report.checked.totals;
            totals.subscriptions += 1;
            totals.subscription_versions += version;
            let tenant = to_tenant(row.get("tenant")).ok();
            let read = tenant
                .map(|tenant| read_subscription(tenant, id, row.get("content"), &report.keyring));
            let subscription = match read {
                Some(Ok(subscription)) => subscription,
                Some(Err(Unreadable::Sealed(key))) => {
                    report.sealed(key);
                    continue;
                }
                _ => {
                    report.malformed(id);
                    continue;
                }
            };
            if subscription.version.0 != version {
                report.find(format!("subscription {id} is of two versions"));
            }
            if !row.get::<_, bool>("has_version") {
                let tenant = subscription.tenant.as_str();
                report.find(format!(
                    "the tenant {tenant} of subscription {id} has no version"
                ));
            }
        }
    }
}

async fn requests(client: &Connection, report: &mut Report) -> Result<()> {
    let scan = Scan {
        columns: "tenant, name, content",
        table: "request",
        filter: "true",
        key: &["tenant", "name"],
        bytes: &["content"],
    };
    let (mut tenant, mut name) = (String::new(), Vec::<u8>::new());
    loop {
        let piece = scan.read(client, &[&tenant, &name], PIECE).await?;
        let Some(last) = piece.rows.last() else {
            return Ok(());
        };
        (tenant, name) = (last.get("tenant"), last.get("name"));
        for row in &piece.rows {
            report.checked.totals.requests += 1;
            let name = row.get::<_, &[u8]>("name");
            let tenant = to_tenant(row.get("tenant")).ok();
            let read =
                tenant.map(|tenant| read_request(tenant, row.get("content"), &report.keyring));
            match read {
                Some(Ok(_)) if std::str::from_utf8(name).is_ok() => {}
                Some(Err(Unreadable::Sealed(key))) => report.sealed(key),
                _ => report.malformed(name.escape_ascii()),
            }
        }
    }
}

async fn replays(client: &Connection, report: &mut Report) -> Result<()> {
    let scan = Scan {
        columns: "id, tenant, is_running, content",
        table: "replay",
        filter: "true",
        key: &["id"],
        bytes: &["content"],
    };
    let mut after = Uuid::nil();
    loop {
        let piece = scan.read(client, &[&after], PIECE).await?;
        let Some(last) = piece.rows.last() else {
            return Ok(());
        };
        after = last.get("id");
        for row in &piece.rows {
            let Ok(replay) = replay(row) else {
                report.malformed(row.get::<_, Uuid>("id"));
                continue;
            };
            if row.get::<_, bool>("is_running") != (replay.state == ReplayState::Running) {
                report.find(format!("replay {} is in two states", replay.id));
            }
        }
    }
}

async fn api_keys(client: &Connection, report: &mut Report) -> Result<()> {
    let scan = Scan {
        columns: "id, tenant, content",
        table: "api_key",
        filter: "true",
        key: &["id"],
        bytes: &["content"],
    };
    let mut after = Uuid::nil();
    loop {
        let piece = scan.read(client, &[&after], PIECE).await?;
        let Some(last) = piece.rows.last() else {
            return Ok(());
        };
        after = last.get("id");
        for row in &piece.rows {
            let totals = &mut report.checked.totals;
            totals.api_keys += 1;
            let Ok(found) = api_key(row) else {
                report.malformed(row.get::<_, Uuid>("id"));
                continue;
            };
            totals.revoked_api_keys += u64::from(found.revoke_time.is_some());
            if row.get::<_, &str>("tenant") != tenant(&found.spec.holder) {
                report.find(format!("API key {} is of two tenants", found.id));
            }
        }
    }
}
