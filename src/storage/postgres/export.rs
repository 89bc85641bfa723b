//! Reads a store as a whole: what belongs to no day, then day by day its events,
//! its deliveries, and its attempts in the order of the log.

use std::sync::Arc;

use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    api_key::api_key,
    connect::Connection,
    days,
    error::{from_pg, malformed, unreadable},
    replay::replay,
    row::{self, DELIVERY, to_event_id, to_subscription_id, to_tenant, to_time, whole},
    scan::{Bounds, Piece, Scan},
    state::State,
    tail::{self, to_position},
};
use crate::{
    domain::Keyring,
    storage::{
        Chunk, ChunkSize, Cursor, Error, Result, Stored,
        bytes::{Malformed, Read, Reader, Writer},
        day::Day,
        row::{read_request, read_subscription},
    },
};

/// Where an export goes on: after what of which table.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Subscriptions(Uuid),
    Requests(String, Vec<u8>),
    Replays(Uuid),
    ApiKeys(Uuid),
    Removed,
    Events(Day, String, Uuid),
    Deliveries(Day, Uuid),
    Attempts(Day, i64),
}

/// Before every position.
const START: i64 = -1;

impl State {
    /// See [`crate::storage::Transfer::export`].
    pub(super) async fn export(&self, after: Option<Cursor>, size: ChunkSize) -> Result<Chunk> {
        let mut place = match after {
            Some(cursor) => Place::from_cursor(&cursor)?,
            None => Place::Subscriptions(Uuid::nil()),
        };
        let client = self.connection().await?;
        let mut export = Export {
            days: self.days.refresh(&client).await?,
            client,
            keyring: self.keyring.clone(),
            left: Bounds {
                rows: size.records,
                bytes: size.bytes,
            },
            records: Vec::new(),
        };
        loop {
            let full = export.left.rows == 0 || export.left.bytes == 0;
            let next = if full && !export.records.is_empty() {
                Some(place.to_cursor())
            } else if let Some(next) = export.go_on(place).await? {
                place = next;
                continue;
            } else {
                None
            };
            return Ok(Chunk {
                records: export.records,
                next,
            });
        }
    }
}

/// A chunk as it is read.
struct Export {
    client: Connection,
    keyring: Keyring,
    /// Those that there are.
    days: Vec<Day>,
    /// What may still be read.
    left: Bounds,
    records: Vec<Stored>,
}

impl Export {
    /// Reads on, and returns where to read on after that; `None` at the end.
    async fn go_on(&mut self, place: Place) -> Result<Option<Place>> {
        let next = match &place {
            Place::Subscriptions(after) => self.subscriptions(*after).await?,
            Place::Requests(tenant, name) => self.requests(tenant, name).await?,
            Place::Replays(after) => self.replays(*after).await?,
            Place::ApiKeys(after) => self.api_keys(*after).await?,
            Place::Removed => self.removed().await?,
            Place::Events(day, tenant, after) => self.events(*day, tenant, *after).await?,
            Place::Deliveries(day, after) => self.deliveries(*day, *after).await?,
            Place::Attempts(day, after) => self.attempts(*day, *after).await?,
        };
        Ok(next.or_else(|| self.after_table(&place)))
    }

    /// Where to go on once nothing more is in a table.
    fn after_table(&self, place: &Place) -> Option<Place> {
        let events = |day: &Day| Place::Events(*day, String::new(), Uuid::nil());
        match place {
            Place::Subscriptions(_) => Some(Place::Requests(String::new(), Vec::new())),
            Place::Requests(..) => Some(Place::Replays(Uuid::nil())),
            Place::Replays(_) => Some(Place::ApiKeys(Uuid::nil())),
            Place::ApiKeys(_) => Some(Place::Removed),
            Place::Removed => self.days.first().map(events),
            Place::Events(day, ..) => Some(Place::Deliveries(*day, Uuid::nil())),
            Place::Deliveries(day, _) => Some(Place::Attempts(*day, START)),
            Place::Attempts(day, _) => self.days.iter().find(|next| *next > day).map(events),
        }
    }

    async fn subscriptions(&mut self, after: Uuid) -> Result<Option<Place>> {
        let scan = Scan {
            columns: "id, tenant, content",
            table: "subscription",
            filter: "content IS NOT NULL",
            key: &["id"],
            bytes: &["content"],
        };
        let piece = scan.read(&self.client, &[&after], self.left).await?;
        let keyring = self.keyring.clone();
        self.take(&piece, |row| {
            let id = to_subscription_id(row.get("id"));
            let tenant = to_tenant(row.get("tenant"))?;
            let read = read_subscription(tenant, id, row.get("content"), &keyring);
            let subscription = read.map_err(unreadable("subscription"))?;
            Ok(Stored::Subscription(Arc::new(subscription)))
        })?;
        let last = piece.rows.last();
        Ok(last.map(|last| Place::Subscriptions(last.get("id"))))
    }

    async fn requests(&mut self, tenant: &str, name: &[u8]) -> Result<Option<Place>> {
        let scan = Scan {
            columns: "tenant, name, content",
            table: "request",
            filter: "true",
            key: &["tenant", "name"],
            bytes: &["content"],
        };
        let after: [&(dyn ToSql + Sync); 2] = [&tenant, &name];
        let piece = scan.read(&self.client, &after, self.left).await?;
        let keyring = self.keyring.clone();
        self.take(&piece, |row| {
            let malformed = malformed("request");
            let tenant = to_tenant(row.get("tenant"))?;
            let id = String::from_utf8(row.get("name")).map_err(|_| malformed(Malformed))?;
            let read = read_request(tenant, row.get("content"), &keyring);
            let (_, created) = read.map_err(unreadable("request"))?;
            let created = Box::new(created);
            Ok(Stored::Request { id, created })
        })?;
        let last = piece.rows.last();
        Ok(last.map(|last| Place::Requests(last.get("tenant"), last.get("name"))))
    }

    async fn replays(&mut self, after: Uuid) -> Result<Option<Place>> {
        let scan = Scan {
            columns: "id, tenant, content",
            table: "replay",
            filter: "true",
            key: &["id"],
            bytes: &["content"],
        };
        let piece = scan.read(&self.client, &[&after], self.left).await?;
        self.take(&piece, |row| Ok(Stored::Replay(Box::new(replay(row)?))))?;
        let last = piece.rows.last();
        Ok(last.map(|last| Place::Replays(last.get("id"))))
    }

    async fn api_keys(&mut self, after: Uuid) -> Result<Option<Place>> {
        let scan = Scan {
            columns: "id, content",
            table: "api_key",
            filter: "true",
            key: &["id"],
            bytes: &["content"],
        };
        let piece = scan.read(&self.client, &[&after], self.left).await?;
        self.take(&piece, |row| Ok(Stored::ApiKey(Box::new(api_key(row)?))))?;
        let last = piece.rows.last();
        Ok(last.map(|last| Place::ApiKeys(last.get("id"))))
    }

    async fn removed(&mut self) -> Result<Option<Place>> {
        let sql = "SELECT removed_before, removed_position FROM log
                   WHERE removed_before IS NOT NULL";
        let row = self.client.query_opt(sql, &[]).await.map_err(from_pg)?;
        if let Some(row) = row {
            self.records.push(Stored::Removed {
                before: to_time(row.get("removed_before")),
                last: to_position(row.get("removed_position")),
            });
            self.left.rows = self.left.rows.saturating_sub(1);
        }
        Ok(None)
    }

    async fn events(&mut self, day: Day, tenant: &str, after: Uuid) -> Result<Option<Place>> {
        let scan = Scan {
            columns: "tenant, id, content, body",
            table: &days::name("event", day),
            filter: "true",
            key: &["tenant", "id"],
            bytes: &["content", "body"],
        };
        let after: [&(dyn ToSql + Sync); 2] = [&tenant, &after];
        let piece = scan.read(&self.client, &after, self.left).await?;
        self.take(&piece, event)?;
        let last = piece.rows.last();
        Ok(last.map(|last| Place::Events(day, last.get("tenant"), last.get("id"))))
    }

    async fn deliveries(&mut self, day: Day, after: Uuid) -> Result<Option<Place>> {
        let scan = Scan {
            columns: DELIVERY,
            table: &format!("{} d", days::name("delivery", day)),
            filter: "true",
            key: &["d.id"],
            bytes: &[],
        };
        let piece = scan.read(&self.client, &[&after], self.left).await?;
        self.take(&piece, |row| {
            let (tenant, delivery) = row::delivery(row)?;
            Ok(Stored::Delivery { tenant, delivery })
        })?;
        let last = piece.rows.last();
        Ok(last.map(|last| Place::Deliveries(day, last.get("id"))))
    }

    async fn attempts(&mut self, day: Day, after: i64) -> Result<Option<Place>> {
        let scan = Scan {
            columns: "position, recorded, next_attempt_time, content",
            table: &days::name("attempt", day),
            filter: "true",
            key: &["position"],
            bytes: &["content"],
        };
        let piece = scan.read(&self.client, &[&after], self.left).await?;
        self.take(&piece, |row| {
            Ok(Stored::Attempt {
                position: to_position(row.get("position")),
                recorded: to_time(row.get("recorded")),
                attempt: Arc::new(tail::attempt(row)?),
            })
        })?;
        let last = piece.rows.last();
        Ok(last.map(|last| Place::Attempts(day, last.get("position"))))
    }

    fn take(&mut self, piece: &Piece, record: impl Fn(&Row) -> Result<Stored>) -> Result<()> {
        for row in &piece.rows {
            self.records.push(record(row)?);
        }
        self.left.rows = self.left.rows.saturating_sub(piece.rows.len());
        self.left.bytes = self.left.bytes.saturating_sub(piece.bytes);
        Ok(())
    }
}

fn event(row: &Row) -> Result<Stored> {
    let tenant = to_tenant(row.get("tenant"))?;
    let id = to_event_id(row.get("id"));
    let read = row::event(tenant, id, row.get("content"))?;
    let subscriptions = read.subscriptions.clone();
    Ok(Stored::Event {
        event: Arc::new(whole(read, row.get("body"))?),
        subscriptions,
    })
}

impl Place {
    fn to_cursor(&self) -> Cursor {
        let mut cursor = Writer::default();
        match self {
            Self::Subscriptions(id) => cursor.byte(0).raw(id.as_bytes()),
            Self::Requests(tenant, name) => cursor.byte(1).text(tenant).bytes(name),
            Self::Removed => cursor.byte(2),
            Self::Events(day, tenant, id) => {
                let cursor = cursor.byte(3).number(day.number());
                cursor.text(tenant).raw(id.as_bytes())
            }
            Self::Deliveries(day, id) => {
                let cursor = cursor.byte(4).number(day.number());
                cursor.raw(id.as_bytes())
            }
            Self::Attempts(day, position) => {
                let cursor = cursor.byte(5).number(day.number());
                cursor.number((position - START).unsigned_abs())
            }
            Self::Replays(id) => cursor.byte(6).number(0_u8).raw(id.as_bytes()),
            Self::ApiKeys(id) => cursor.byte(7).number(0_u8).raw(id.as_bytes()),
        };
        Cursor(cursor.finish())
    }

    fn from_cursor(cursor: &Cursor) -> Result<Self> {
        Self::read(&cursor.0).map_err(|_| Error::Corrupt("cursor".to_owned()))
    }

    fn read(cursor: &[u8]) -> Read<Self> {
        let mut cursor = Reader::bare(cursor);
        let table = cursor.byte()?;
        let mut day = Day::from_number(0);
        if table > 2 {
            day = Day::from_number(cursor.long()?);
        }
        let place = match table {
            0 => Self::Subscriptions(Uuid::from_bytes(cursor.array()?)),
            1 => Self::Requests(cursor.text()?.to_owned(), cursor.bytes()?.to_vec()),
            2 => Self::Removed,
            3 => {
                let tenant = cursor.text()?.to_owned();
                Self::Events(day, tenant, Uuid::from_bytes(cursor.array()?))
            }
            4 => Self::Deliveries(day, Uuid::from_bytes(cursor.array()?)),
            5 => {
                let after = i64::try_from(cursor.long()?).map_err(|_| Malformed)?;
                Self::Attempts(day, after + START)
            }
            6 => Self::Replays(Uuid::from_bytes(cursor.array()?)),
            7 => Self::ApiKeys(Uuid::from_bytes(cursor.array()?)),
            _ => return Err(Malformed),
        };
        cursor.finish().map(|()| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_from_its_cursor() {
        let (day, id) = (Day::from_number(19_737), Uuid::from_bytes([7; 16]));
        let tenant = "other".to_owned();
        for place in [
            Place::Subscriptions(Uuid::nil()),
            Place::Requests(tenant.clone(), b"request".to_vec()),
            Place::Replays(id),
            Place::ApiKeys(id),
            Place::Removed,
            Place::Events(day, tenant, id),
            Place::Deliveries(day, id),
            Place::Attempts(day, START),
            Place::Attempts(day, 1 << 52),
        ] {
            assert_eq!(Place::from_cursor(&place.to_cursor()).unwrap(), place);
        }
        assert!(Place::from_cursor(&Cursor(vec![9])).is_err());
    }
}
