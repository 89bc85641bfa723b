//! Reads a store as a whole: the catalog, then day by day its events with their
//! deliveries, and its attempts in the order of the log. One day at a time, so
//! that no more of them are open at once.

use std::sync::Arc;

use super::{
    bytes::{Read, Reader, Writer},
    day::{Day, from_kv},
    key::{self, Tag},
    kv::{Order, Partition, Step},
    piece,
    row::{EventRow, read_api_key, read_attempt, read_replay, read_request, read_subscription},
    state::State,
    untimed,
};
use crate::{
    domain::{DeliveryId, ReplayId, SubscriptionId},
    storage::{Chunk, ChunkSize, Cursor, Error, Result, Stored, View},
};

/// Rows that are read at once.
const READ: usize = 128;

/// What a record takes beside payloads and answers.
const OVERHEAD: usize = 256;

/// What is read, in this order; the last two for each day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Subscriptions,
    Requests,
    Replays,
    ApiKeys,
    Removed,
    Events(Day),
    Attempts(Day),
}

/// Where an export goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    stage: Stage,
    /// The first key that is still to be read; from the beginning if empty.
    key: Vec<u8>,
    /// How many records of that key's event were read: itself and deliveries.
    done: usize,
}

impl Place {
    /// At the beginning of a stage.
    fn at(stage: Stage) -> Self {
        Self {
            stage,
            key: Vec::new(),
            done: 0,
        }
    }

    fn to_cursor(&self) -> Cursor {
        let mut cursor = Writer::default();
        let (stage, day) = match self.stage {
            Stage::Subscriptions => (0, 0),
            Stage::Requests => (1, 0),
            Stage::Removed => (2, 0),
            Stage::Events(day) => (3, day.number()),
            Stage::Attempts(day) => (4, day.number()),
            Stage::Replays => (5, 0),
            Stage::ApiKeys => (6, 0),
        };
        let done = self.done as u64;
        cursor.byte(stage).number(day).number(done).raw(&self.key);
        Cursor(cursor.finish())
    }

    fn from_cursor(cursor: &Cursor) -> Result<Self> {
        Self::read(&cursor.0).map_err(|_| Error::Corrupt("cursor".to_owned()))
    }

    fn read(cursor: &[u8]) -> Read<Self> {
        let mut cursor = Reader::bare(cursor);
        let stage = cursor.byte()?;
        let day = Day::from_number(cursor.long()?);
        let stage = match stage {
            0 => Stage::Subscriptions,
            1 => Stage::Requests,
            2 => Stage::Removed,
            3 => Stage::Events(day),
            4 => Stage::Attempts(day),
            5 => Stage::Replays,
            6 => Stage::ApiKeys,
            _ => return Err(super::bytes::Malformed),
        };
        Ok(Self {
            stage,
            done: cursor.number()?,
            key: cursor.rest().to_vec(),
        })
    }
}

impl State {
    pub(super) fn export(&self, after: Option<&Cursor>, size: ChunkSize) -> Result<Chunk> {
        let mut place = match after {
            Some(cursor) => Place::from_cursor(cursor)?,
            None => Place::at(Stage::Subscriptions),
        };
        let mut export = Export {
            state: self,
            size,
            records: Vec::new(),
            bytes: 0,
        };
        while !export.is_full() {
            match export.go_on(place)? {
                Some(next) => place = next,
                None => {
                    return Ok(Chunk {
                        records: export.records,
                        next: None,
                    });
                }
            }
        }
        Ok(Chunk {
            records: export.records,
            next: Some(place.to_cursor()),
        })
    }
}

/// A chunk as it is read.
struct Export<'a> {
    state: &'a State,
    size: ChunkSize,
    records: Vec<Stored>,
    bytes: usize,
}

impl Export<'_> {
    fn is_full(&self) -> bool {
        let full = self.records.len() >= self.size.records || self.bytes >= self.size.bytes;
        full && !self.records.is_empty()
    }

    fn push(&mut self, record: Stored, bytes: usize) {
        self.records.push(record);
        self.bytes += bytes + OVERHEAD;
    }

    /// Reads on, and returns where to read on after that; `None` at the end.
    fn go_on(&mut self, place: Place) -> Result<Option<Place>> {
        let stage = place.stage;
        let (partition, tag) = match stage {
            Stage::Subscriptions => (Some(self.state.catalog()?), Tag::Subscription),
            Stage::Requests => (Some(self.state.catalog()?), Tag::Request),
            Stage::Replays => (Some(self.state.catalog()?), Tag::Replay),
            Stage::ApiKeys => (Some(self.state.catalog()?), Tag::ApiKey),
            Stage::Removed => {
                if let Some((before, last)) = self.state.removed() {
                    self.push(Stored::Removed { before, last }, 0);
                }
                return self.after_stage(stage);
            }
            Stage::Events(day) => (self.state.days.get(day)?, Tag::Event),
            Stage::Attempts(day) => (self.state.days.get(day)?, Tag::Attempt),
        };
        let Some(partition) = partition else {
            return self.after_stage(stage);
        };
        let mut next = place;
        let rows = read_rows(&*partition, tag, &next.key)?;
        let is_last = rows.len() < READ;
        for (key, first) in rows {
            if self.is_full() {
                return Ok(Some(next));
            }
            let done = if key == next.key { next.done } else { 0 };
            let row = piece::join(&*partition, &key, &first)?;
            let read = match stage {
                Stage::Events(_) => self.event(&key, &row, done)?,
                _ => self.record(stage, &key, &row)?,
            };
            next = match read {
                Some(done) => Place { stage, key, done },
                None => Place {
                    stage,
                    key: key::after(key),
                    done: 0,
                },
            };
        }
        if is_last && next.done == 0 {
            return self.after_stage(stage);
        }
        Ok(Some(next))
    }

    fn after_stage(&self, stage: Stage) -> Result<Option<Place>> {
        let day_from = |first: Day| -> Result<Option<Place>> {
            let mut days = self.state.days.all()?.into_iter();
            let day = days.find(|day| *day >= first);
            Ok(day.map(|day| Place::at(Stage::Events(day))))
        };
        match stage {
            Stage::Subscriptions => Ok(Some(Place::at(Stage::Requests))),
            Stage::Requests => Ok(Some(Place::at(Stage::Replays))),
            Stage::Replays => Ok(Some(Place::at(Stage::ApiKeys))),
            Stage::ApiKeys => Ok(Some(Place::at(Stage::Removed))),
            Stage::Removed => day_from(Day::from_number(0)),
            Stage::Events(day) => Ok(Some(Place::at(Stage::Attempts(day)))),
            Stage::Attempts(day) => day_from(day.next()),
        }
    }

    /// Reads what is one record; returns nothing to go on with.
    fn record(&mut self, stage: Stage, key: &[u8], row: &[u8]) -> Result<Option<usize>> {
        let malformed = || piece::malformed(key);
        if let Stage::Attempts(_) = stage {
            let position = key::position_of(key).ok_or_else(malformed)?;
            let attempt = read_attempt(row).map_err(|_| malformed())?;
            let recorded = untimed::recorded(position, row).map_err(|_| malformed())?;
            let attempt = Arc::new(attempt);
            let record = Stored::Attempt {
                position,
                recorded,
                attempt,
            };
            self.push(record, row.len());
            return Ok(None);
        }
        if stage == Stage::ApiKeys {
            let id = key::api_key_of(key).ok_or_else(malformed)?;
            let found = read_api_key(id, row).map_err(|_| malformed())?;
            self.push(Stored::ApiKey(Box::new(found)), row.len());
            return Ok(None);
        }
        let (tenant, name) = key::named_of(key).ok_or_else(malformed)?;
        let record = if stage == Stage::Subscriptions {
            let id = SubscriptionId::from_bytes(name.try_into().map_err(|_| malformed())?);
            let read = read_subscription(tenant, id, row, &self.state.keyring);
            let subscription = read.map_err(|why| why.into_error(malformed))?;
            Stored::Subscription(Arc::new(subscription))
        } else if stage == Stage::Replays {
            let id = ReplayId::from_bytes(name.try_into().map_err(|_| malformed())?);
            let replay = read_replay(tenant, id, row).map_err(|_| malformed())?;
            Stored::Replay(Box::new(replay))
        } else {
            let read = read_request(tenant, row, &self.state.keyring);
            let (_, created) = read.map_err(|why| why.into_error(malformed))?;
            Stored::Request {
                id: String::from_utf8(name.to_vec()).map_err(|_| malformed())?,
                created: Box::new(created),
            }
        };
        self.push(record, row.len());
        Ok(None)
    }

    /// Reads an event with its deliveries, but for so many of these records.
    /// Returns how many were read if there are more.
    fn event(&mut self, key: &[u8], row: &[u8], mut done: usize) -> Result<Option<usize>> {
        let malformed = || piece::malformed(key);
        let (tenant, _) = key::named_of(key).ok_or_else(malformed)?;
        let id = key::event_of(key).ok_or_else(malformed)?;
        let row = EventRow::read(tenant.clone(), id, row).map_err(|_| malformed())?;
        let subscriptions = row.subscriptions.clone();
        if done == 0 {
            let event = self.state.event_of(row, View::Full)?;
            let bytes = event.payload.data.len() + subscriptions.len() * 16;
            let record = Stored::Event {
                event: Arc::new(event),
                subscriptions: subscriptions.clone(),
            };
            self.push(record, bytes);
            done = 1;
        }
        let deliveries = (0..=u16::MAX).zip(subscriptions);
        for (ordinal, subscription) in deliveries.skip(done - 1) {
            if self.is_full() {
                return Ok(Some(done));
            }
            let delivery = DeliveryId::new(id, ordinal);
            // One that is missing is missing in the copy, too; a check tells.
            if let Some(row) = self.state.delivery_row(subscription, delivery)? {
                let tenant = row.tenant;
                let delivery = row.delivery;
                self.push(Stored::Delivery { tenant, delivery }, 0);
            }
            done += 1;
        }
        Ok(None)
    }
}

/// The next rows of a kind from a key on, each as far as its first piece.
fn read_rows(partition: &dyn Partition, tag: Tag, from: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut rows = Vec::new();
    let visit = &mut |key: &[u8], first: &[u8]| {
        rows.push((key.to_vec(), first.to_vec()));
        if rows.len() < READ {
            Step::Continue(())
        } else {
            Step::Break(())
        }
    };
    partition
        .scan(key::every_from(tag, from), Order::Forwards, visit)
        .map_err(from_kv)?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_from_its_cursor() {
        let day = Day::from_number(19_737);
        for stage in [
            Stage::Subscriptions,
            Stage::Requests,
            Stage::Replays,
            Stage::ApiKeys,
            Stage::Removed,
            Stage::Events(day),
            Stage::Attempts(day),
        ] {
            let place = Place {
                stage,
                key: b"Edefault\0key".to_vec(),
                done: 65_536,
            };
            assert_eq!(Place::from_cursor(&place.to_cursor()).unwrap(), place);
        }
        assert!(Place::from_cursor(&Cursor(vec![9, 0, 0])).is_err());
    }
}
