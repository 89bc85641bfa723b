//! An event and the subscriptions it went to. A payload of more than a few
//! hundred bytes stands in a row of its own, so that lists do not read it. A
//! checksum covers the row and whose it is, and another one a payload that stands
//! apart: not every store finds out by itself that a disk changed a byte.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    domain::{Attributes, ContentType, Event, EventId, Payload, SubscriptionId, TenantId},
    storage::bytes::{Malformed, Read, Reader, Writer, checked, checksum},
};

/// Without checksums.
const FIRST: u8 = 1;
const VERSION: u8 = 2;

/// Longest payload that stands in the event's own row.
pub(in crate::storage) const INLINE: usize = 1_024;

/// Apart, in a row of the first version.
const UNCHECKED: u8 = 0;
const WITHIN: u8 = 1;
const ERASED: u8 = 2;
const APART: u8 = 3;

/// An event as it is stored under its tenant and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) struct EventRow {
    /// The event; its payload has no bytes if they stand apart.
    pub(in crate::storage) event: Event,
    /// Whether the payload's bytes stand in a row of their own.
    pub(in crate::storage) apart: bool,
    /// Their checksum, if they do and have one.
    checksum: Option<[u8; 4]>,
    /// Where it went, in the order of the deliveries' ordinals.
    pub(in crate::storage) subscriptions: Vec<SubscriptionId>,
}

impl EventRow {
    pub(in crate::storage) fn write(event: &Event, subscriptions: &[SubscriptionId]) -> Vec<u8> {
        let data = &event.payload.data;
        let apart = data.len() > INLINE;
        Self::write_parts(
            event,
            subscriptions,
            apart,
            apart.then(|| checksum(data, &[])),
        )
    }

    /// The row as it is written.
    pub(in crate::storage) fn to_bytes(&self) -> Vec<u8> {
        Self::write_parts(&self.event, &self.subscriptions, self.apart, self.checksum)
    }

    /// The event without its payload.
    pub(in crate::storage) fn basic(mut self) -> Event {
        self.event.payload.data = Bytes::new();
        self.event
    }

    /// The event with its payload, of which `body` is what stands apart.
    pub(in crate::storage) fn whole(mut self, body: Option<Bytes>) -> Read<Event> {
        if self.apart {
            let body = body.ok_or(Malformed)?;
            if self.checksum.is_some_and(|sum| sum != checksum(&body, &[])) {
                return Err(Malformed);
            }
            self.event.payload.data = body;
        }
        Ok(self.event)
    }

    /// Adds a delivery to a subscription and returns its ordinal; `None` if an
    /// event can have no more.
    pub(in crate::storage) fn add(&mut self, to: SubscriptionId) -> Option<u16> {
        let ordinal = u16::try_from(self.subscriptions.len()).ok()?;
        self.subscriptions.push(to);
        Some(ordinal)
    }

    fn write_parts(
        event: &Event,
        subscriptions: &[SubscriptionId],
        apart: bool,
        checksum: Option<[u8; 4]>,
    ) -> Vec<u8> {
        let mut row = Writer::new(VERSION);
        row.time(event.create_time)
            .maybe_time_near(event.create_time, event.deliver_after)
            .text(event.event_type.as_str());
        match event.payload.content_type.as_str() {
            "application/json" => row.text(""),
            other => row.text(other),
        };
        row.maybe_text(event.idempotency_key.as_deref())
            .maybe_text(event.ordering_key.as_deref());
        let attributes = event.attributes.as_map();
        row.number(attributes.len() as u64);
        for (key, value) in attributes {
            row.text(key).text(value);
        }
        row.number(subscriptions.len() as u64);
        for subscription in subscriptions {
            row.raw(&subscription.to_bytes());
        }
        if let Some(time) = event.erase_time {
            row.byte(ERASED).time(time);
        } else if !apart {
            row.byte(WITHIN).raw(&event.payload.data);
        } else if let Some(checksum) = checksum {
            row.byte(APART).raw(&checksum);
        } else {
            row.byte(UNCHECKED);
        }
        row.finish_with_checksum(&place(&event.tenant, &event.id.to_bytes()))
    }

    pub(in crate::storage) fn read(tenant: TenantId, id: EventId, row: &[u8]) -> Read<Self> {
        let row = if row.first() == Some(&FIRST) {
            row
        } else {
            checked(row, &place(&tenant, &id.to_bytes()))?
        };
        let (_, mut row) = Reader::any_of(row, &[FIRST, VERSION])?;
        let create_time = row.time()?;
        let deliver_after = row.maybe_time_near(create_time)?;
        let event_type = row.parsed()?;
        let content_type = match row.text()? {
            "" => ContentType::default(),
            other => other.parse().map_err(|_| Malformed)?,
        };
        let idempotency_key = row.maybe_text()?.map(str::to_owned);
        let ordering_key = row.maybe_text()?.map(str::to_owned);
        let mut attributes = BTreeMap::new();
        for _ in 0..row.long()? {
            let key = row.text()?.to_owned();
            attributes.insert(key, row.text()?.to_owned());
        }
        let mut subscriptions = Vec::new();
        for _ in 0..row.long()? {
            subscriptions.push(SubscriptionId::from_bytes(row.array()?));
        }
        let (apart, checksum, erase_time) = match row.byte()? {
            UNCHECKED => (true, None, None),
            APART => (true, Some(row.array()?), None),
            WITHIN => (false, None, None),
            ERASED => (false, None, Some(row.time()?)),
            _ => return Err(Malformed),
        };
        let event = Event {
            id,
            tenant,
            event_type,
            payload: Payload {
                data: Bytes::copy_from_slice(row.rest()),
                content_type,
            },
            idempotency_key,
            ordering_key,
            attributes: Attributes::new(attributes).map_err(|_| Malformed)?,
            deliver_after,
            create_time,
            erase_time,
        };
        Ok(Self {
            event,
            apart,
            checksum,
            subscriptions,
        })
    }
}

/// Whose the row is: one that stands under another id is not taken for that.
fn place<'a>(tenant: &'a TenantId, id: &'a [u8]) -> [&'a [u8]; 2] {
    [tenant.as_str().as_bytes(), id]
}
