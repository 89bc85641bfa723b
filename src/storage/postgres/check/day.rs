//! The events of a day and their idempotency keys: whether they read, and
//! whether each event has what depends on it.

use bytes::Bytes;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{PIECE, Report};
use crate::{
    domain::DeliveryId,
    storage::{
        Result,
        day::Day,
        postgres::{
            connect::Connection,
            days::name,
            error::from_pg,
            row::{from_delivery, to_delivery_id, to_event_id, to_tenant, to_time},
            scan::Scan,
        },
        row::{EventRow, IdempotencyRow},
    },
};

/// Most deliveries that are looked for at once.
const SOUGHT: usize = 10_000;

/// The events of a day.
pub(super) struct Events<'a> {
    day: Day,
    client: &'a Connection,
    report: &'a mut Report,
    /// Keys that have to be known: tenant, name, event.
    keys: (Vec<String>, Vec<Vec<u8>>, Vec<Uuid>),
    /// Deliveries that have to be there.
    deliveries: Vec<Uuid>,
}

impl<'a> Events<'a> {
    pub(super) fn of(day: Day, client: &'a Connection, report: &'a mut Report) -> Self {
        report.enter(&name("event", day));
        Self {
            day,
            client,
            report,
            keys: Default::default(),
            deliveries: Vec::new(),
        }
    }

    pub(super) async fn audit(mut self) -> Result<()> {
        let scan = Scan {
            columns: "tenant, id, content, body, erase_time",
            table: &name("event", self.day),
            filter: "true",
            key: &["tenant", "id"],
            bytes: &["content", "body"],
        };
        let (mut tenant, mut id) = (String::new(), Uuid::nil());
        loop {
            let piece = scan.read(self.client, &[&tenant, &id], PIECE).await?;
            let Some(last) = piece.rows.last() else {
                return Ok(());
            };
            (tenant, id) = (last.get("tenant"), last.get("id"));
            for row in &piece.rows {
                self.event(row);
            }
            self.seek_keys().await?;
            self.seek_deliveries().await?;
        }
    }

    fn event(&mut self, row: &Row) {
        self.report.checked.totals.events += 1;
        let id = to_event_id(row.get("id"));
        let tenant = to_tenant(row.get("tenant")).ok();
        let read = tenant.map(|tenant| EventRow::read(tenant, id, row.get("content")));
        let Some(Ok(read)) = read else {
            self.report.malformed(id);
            return;
        };
        let body = row.get::<_, Option<Vec<u8>>>("body").map(Bytes::from);
        match (read.apart, body) {
            (true, None) => self.report.find(format!("event {id} has lost its payload")),
            (false, Some(_)) => self.report.find(format!("event {id} has two payloads")),
            (_, body) => {
                if read.clone().whole(body).is_err() {
                    self.report
                        .find(format!("event {id} has a changed payload"));
                }
            }
        }
        let erased = row.get::<_, Option<i64>>("erase_time").map(to_time);
        self.report.checked.totals.erased += u64::from(erased.is_some());
        if erased != read.event.erase_time {
            self.report.find(format!("event {id} is erased or not"));
        }
        if let Some(key) = read.event.idempotency_key {
            self.keys.0.push(read.event.tenant.as_str().to_owned());
            self.keys.1.push(key.into_bytes());
            self.keys.2.push(row.get("id"));
        }
        let ordinals = (0..=u16::MAX).zip(&read.subscriptions);
        let deliveries = ordinals.map(|(ordinal, _)| from_delivery(DeliveryId::new(id, ordinal)));
        self.deliveries.extend(deliveries);
    }

    async fn seek_keys(&mut self) -> Result<()> {
        let (tenants, names, events) = std::mem::take(&mut self.keys);
        let sql = format!(
            "SELECT k.event FROM unnest($1::text[], $2::bytea[], $3::uuid[])
                 AS k (tenant, name, event)
             WHERE NOT EXISTS (
                 SELECT FROM {} i
                 WHERE i.tenant = k.tenant AND i.name = k.name AND i.event = k.event)",
            name("idempotency", self.day)
        );
        let statement = self.client.prepare_cached(&sql).await.map_err(from_pg)?;
        let keys: [&(dyn ToSql + Sync); 3] = [&tenants, &names, &events];
        let missing = self.client.query(&statement, &keys).await;
        for row in missing.map_err(from_pg)? {
            let id = to_event_id(row.get("event"));
            let what = format!("the idempotency key of event {id} is not known");
            self.report.find(what);
        }
        Ok(())
    }

    async fn seek_deliveries(&mut self) -> Result<()> {
        let sql = format!(
            "SELECT k.id FROM unnest($1::uuid[]) AS k (id)
             WHERE NOT EXISTS (SELECT FROM {} d WHERE d.id = k.id)",
            name("delivery", self.day)
        );
        let deliveries = std::mem::take(&mut self.deliveries);
        for sought in deliveries.chunks(SOUGHT) {
            let statement = self.client.prepare_cached(&sql).await.map_err(from_pg)?;
            let missing = self.client.query(&statement, &[&sought]).await;
            for row in missing.map_err(from_pg)? {
                let id = to_delivery_id(row.get("id"));
                self.report.find(format!("delivery {id} is missing"));
            }
        }
        Ok(())
    }
}

/// The idempotency keys of a day.
pub(super) struct Keys<'a> {
    day: Day,
    client: &'a Connection,
    report: &'a mut Report,
}

impl<'a> Keys<'a> {
    pub(super) fn of(day: Day, client: &'a Connection, report: &'a mut Report) -> Self {
        report.enter(&name("idempotency", day));
        Self {
            day,
            client,
            report,
        }
    }

    pub(super) async fn audit(mut self) -> Result<()> {
        let (event, idempotency) = (name("event", self.day), name("idempotency", self.day));
        let scan = Scan {
            columns: "i.tenant, i.name, i.event, i.content, e.content AS event_content, e.body",
            table: &format!(
                "{idempotency} i LEFT JOIN {event} e ON e.tenant = i.tenant AND e.id = i.event"
            ),
            filter: "true",
            key: &["i.tenant", "i.name", "i.event"],
            bytes: &["i.content", "e.content", "e.body"],
        };
        let (mut tenant, mut name, mut id) = (String::new(), Vec::<u8>::new(), Uuid::nil());
        loop {
            let piece = scan
                .read(self.client, &[&tenant, &name, &id], PIECE)
                .await?;
            let Some(last) = piece.rows.last() else {
                return Ok(());
            };
            (tenant, name, id) = (last.get("tenant"), last.get("name"), last.get("event"));
            for row in &piece.rows {
                self.key(row);
            }
        }
    }

    fn key(&mut self, row: &Row) {
        self.report.checked.totals.idempotency_keys += 1;
        let name = row.get::<_, &[u8]>("name");
        let id = to_event_id(row.get("event"));
        let key = IdempotencyRow::read(row.get("content")).ok();
        let tenant = to_tenant(row.get("tenant")).ok();
        let (Some(key), Some(tenant)) = (key, tenant) else {
            self.report.malformed(name.escape_ascii());
            return;
        };
        let Some(content) = row.get::<_, Option<&[u8]>>("event_content") else {
            let what = format!("an idempotency key names event {id}, which is missing");
            self.report.find(what);
            return;
        };
        // An event that does not read, or has lost its payload, is found where
        // it stands.
        let Ok(found) = EventRow::read(tenant, id, content) else {
            return;
        };
        let deliveries = found.subscriptions.len();
        let body = row.get::<_, Option<Vec<u8>>>("body").map(Bytes::from);
        let Ok(event) = found.whole(body) else {
            return;
        };
        let of_event = IdempotencyRow {
            delivery_count: key.delivery_count,
            ..IdempotencyRow::of(&event, 0)
        };
        let same = event.idempotency_key.as_deref().map(str::as_bytes) == Some(name)
            && of_event == key
            // Replays add to those that it had.
            && u32::try_from(deliveries).is_ok_and(|now| now >= key.delivery_count);
        if !same {
            let what = format!("an idempotency key names event {id}, which is another");
            self.report.find(what);
        }
    }
}
