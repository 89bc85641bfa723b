//! An event and the subscriptions it went to. A payload of more than a few
//! hundred bytes stands in a row of its own, so that lists do not read it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    domain::{Attributes, ContentType, Event, EventId, Payload, SubscriptionId, TenantId},
    storage::bytes::{Malformed, Read, Reader, Writer},
};

const VERSION: u8 = 1;

/// Longest payload that stands in the event's own row.
pub(in crate::storage) const INLINE: usize = 1_024;

const APART: u8 = 0;
const WITHIN: u8 = 1;
const ERASED: u8 = 2;

/// An event as it is stored under its tenant and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) struct EventRow {
    /// The event; its payload has no bytes if they stand apart.
    pub(in crate::storage) event: Event,
    /// Whether the payload's bytes stand in a row of their own.
    pub(in crate::storage) apart: bool,
    /// Where it went, in the order of the deliveries' ordinals.
    pub(in crate::storage) subscriptions: Vec<SubscriptionId>,
}

impl EventRow {
    pub(in crate::storage) fn write(event: &Event, subscriptions: &[SubscriptionId]) -> Vec<u8> {
        let apart = event.payload.data.len() > INLINE;
        Self::write_parts(event, subscriptions, apart)
    }

    /// The row as it is written.
    pub(in crate::storage) fn to_bytes(&self) -> Vec<u8> {
        Self::write_parts(&self.event, &self.subscriptions, self.apart)
    }

    /// Adds a delivery to a subscription and returns its ordinal; `None` if an
    /// event can have no more.
    pub(in crate::storage) fn add(&mut self, to: SubscriptionId) -> Option<u16> {
        let ordinal = u16::try_from(self.subscriptions.len()).ok()?;
        self.subscriptions.push(to);
        Some(ordinal)
    }

    fn write_parts(event: &Event, subscriptions: &[SubscriptionId], apart: bool) -> Vec<u8> {
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
        } else if apart {
            row.byte(APART);
        } else {
            row.byte(WITHIN).raw(&event.payload.data);
        }
        row.finish()
    }

    pub(in crate::storage) fn read(tenant: TenantId, id: EventId, row: &[u8]) -> Read<Self> {
        let mut row = Reader::new(row, VERSION)?;
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
        let (apart, erase_time) = match row.byte()? {
            APART => (true, None),
            WITHIN => (false, None),
            ERASED => (false, Some(row.time()?)),
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
            subscriptions,
        })
    }
}
