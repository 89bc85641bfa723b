//! What can be told of an event whose row is damaged, from what stands beside it:
//! enough to erase it, and to read it afterwards.

use deadpool_postgres::Transaction;

use super::{
    days::name,
    error::{from_pg, malformed},
    row::{self, DELIVERY, from_delivery, from_event},
};
use crate::{
    domain::{Attributes, ContentType, DeliveryId, EventId, NewEvent, Payload, TenantId},
    storage::{Result, bytes::Malformed, day::Day, row::EventRow},
};

/// The type of an event that went nowhere.
const UNKNOWN: &str = "unknown";

/// The event without its payload, attributes and keys. Its idempotency key is
/// forgotten.
pub(super) async fn rebuild(
    transaction: &Transaction<'_>,
    day: Day,
    tenant: &TenantId,
    id: EventId,
) -> Result<EventRow> {
    tracing::warn!(event = %id, "event is damaged, and is told from its deliveries");
    let sql = format!(
        "SELECT {DELIVERY} FROM {} d WHERE d.id BETWEEN $1 AND $2 ORDER BY d.id",
        name("delivery", day)
    );
    let (first, last) = (DeliveryId::new(id, 0), DeliveryId::new(id, u16::MAX));
    let rows = transaction
        .query(&sql, &[&from_delivery(first), &from_delivery(last)])
        .await
        .map_err(from_pg)?;
    let deliveries = rows.iter().map(|row| row::delivery(row).map(|(_, of)| of));
    let deliveries = deliveries.collect::<Result<Vec<_>>>()?;
    let first = deliveries.first();
    let unknown = || UNKNOWN.parse().map_err(|_| Malformed);
    let event_type = first.map_or_else(unknown, |first| Ok(first.event_type.clone()));
    let event = NewEvent {
        event_type: event_type.map_err(malformed("event"))?,
        payload: Payload {
            data: bytes::Bytes::new(),
            content_type: ContentType::default(),
        },
        idempotency_key: None,
        ordering_key: first.and_then(|first| first.ordering_key.clone()),
        attributes: Attributes::default(),
        deliver_after: None,
    };
    let time = first.map_or_else(|| day.start(), |first| first.create_time);
    let event = event.accept(id, tenant.clone(), time);
    let to: Vec<_> = deliveries.iter().map(|of| of.subscription_id).collect();
    let sql = format!(
        "DELETE FROM {} WHERE tenant = $1 AND event = $2",
        name("idempotency", day)
    );
    let forgotten = transaction
        .execute(&sql, &[&tenant.as_str(), &from_event(id)])
        .await;
    forgotten.map_err(from_pg)?;
    EventRow::read(tenant.clone(), id, &EventRow::write(&event, &to)).map_err(malformed("event"))
}
