//! Between rows of the tables and what they stand for.

use bytes::Bytes;
use tokio_postgres::Row;
use uuid::Uuid;

use super::error::malformed;
use crate::{
    domain::{
        Delivery, DeliveryId, DeliveryState, Event, EventId, LastOutcome, SubscriptionId, TenantId,
        Timestamp,
    },
    storage::{
        Error, Result,
        bytes::{Malformed, Read},
        row::{EventRow, code},
    },
};

/// The columns that `delivery` reads, of a table called `d`.
pub(super) const DELIVERY: &str = "d.id, d.subscription, d.tenant, d.event_type, d.state, \
     d.trigger, d.attempt_count, d.chain_start, d.chain_time, d.due, d.error_kind, \
     d.response_status, d.revision, d.create_time, d.update_time, d.ordering_key";

/// A delivery and whose it is.
pub(super) fn delivery(row: &Row) -> Result<(TenantId, Delivery)> {
    read_delivery(row).map_err(malformed("delivery"))
}

fn read_delivery(row: &Row) -> Read<(TenantId, Delivery)> {
    let count = |name| u32::try_from(row.get::<_, i32>(name)).map_err(|_| Malformed);
    let byte = |name| u8::try_from(row.get::<_, i16>(name)).map_err(|_| Malformed);
    let text = |name| row.get::<_, &str>(name);
    let attempt_count = count("attempt_count")?;
    let last_outcome = if attempt_count > 0 {
        let error = row.get::<_, Option<i16>>("error_kind");
        let error = error.map(|kind| u8::try_from(kind).map_err(|_| Malformed));
        let status = row.get::<_, Option<i32>>("response_status");
        let status = status.map(|status| u16::try_from(status).map_err(|_| Malformed));
        Some(LastOutcome {
            error_kind: error.transpose()?.map(code::to_error).transpose()?,
            response_status: status.transpose()?,
        })
    } else {
        None
    };
    let ordering_key = row.get::<_, Option<Vec<u8>>>("ordering_key");
    let ordering_key = ordering_key.map(String::from_utf8).transpose();
    let delivery = Delivery {
        id: to_delivery_id(row.get("id")),
        subscription_id: to_subscription_id(row.get("subscription")),
        event_type: text("event_type").parse().map_err(|_| Malformed)?,
        ordering_key: ordering_key.map_err(|_| Malformed)?,
        state: code::to_state(byte("state")?)?,
        trigger: code::to_trigger(byte("trigger")?)?,
        attempt_count,
        chain_start: count("chain_start")?,
        chain_time: to_time(row.get("chain_time")),
        due: row.get::<_, Option<i64>>("due").map(to_time),
        last_outcome,
        revision: count("revision")?,
        create_time: to_time(row.get("create_time")),
        update_time: to_time(row.get("update_time")),
    };
    let tenant = text("tenant").parse().map_err(|_| Malformed)?;
    Ok((tenant, delivery))
}

/// A delivery of a subscription that is gone reads as cancelled, one under way
/// as such.
pub(super) fn shown(delivery: Delivery, is_live: bool, is_under_way: bool) -> Delivery {
    if delivery.state.is_settled() {
        return delivery;
    }
    if !is_live {
        return Delivery {
            state: DeliveryState::Cancelled,
            due: None,
            ..delivery
        };
    }
    let state = if is_under_way {
        DeliveryState::Delivering
    } else {
        delivery.state
    };
    Delivery { state, ..delivery }
}

/// The event of this id, as its row says.
pub(super) fn event(tenant: TenantId, id: EventId, content: &[u8]) -> Result<EventRow> {
    EventRow::read(tenant, id, content).map_err(|_| Error::Corrupt(format!("event {id}")))
}

/// The event of a row with its payload, of which `body` is what stands apart.
pub(super) fn whole(row: EventRow, body: Option<Vec<u8>>) -> Result<Event> {
    let id = row.event.id;
    let whole = row.whole(body.map(Bytes::from));
    whole.map_err(|_| Error::Corrupt(format!("payload of event {id}")))
}

/// Times that do not fit are at the end of time.
pub(super) fn from_time(time: Timestamp) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

pub(super) fn to_time(micros: i64) -> Timestamp {
    match u64::try_from(micros) {
        Ok(micros) if micros < i64::MAX.unsigned_abs() => Timestamp::from_micros(micros),
        Ok(_) => Timestamp::MAX,
        Err(_) => Timestamp::MIN,
    }
}

pub(super) fn from_count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) fn from_event(id: EventId) -> Uuid {
    Uuid::from_bytes(id.to_bytes())
}

pub(super) fn from_delivery(id: DeliveryId) -> Uuid {
    Uuid::from_bytes(id.to_bytes())
}

pub(super) fn from_subscription(id: SubscriptionId) -> Uuid {
    Uuid::from_bytes(id.to_bytes())
}

pub(super) fn to_event_id(id: Uuid) -> EventId {
    EventId::from_bytes(id.into_bytes())
}

pub(super) fn to_delivery_id(id: Uuid) -> DeliveryId {
    DeliveryId::from_bytes(id.into_bytes())
}

pub(super) fn to_subscription_id(id: Uuid) -> SubscriptionId {
    SubscriptionId::from_bytes(id.into_bytes())
}

/// A name that was stored by its own writer.
pub(super) fn to_tenant(name: &str) -> Result<TenantId> {
    name.parse()
        .map_err(|_| Error::Corrupt("tenant of a row".to_owned()))
}
