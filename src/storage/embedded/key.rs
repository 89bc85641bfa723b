//! The keys of all rows: one byte that says what it is, then big-endian parts,
//! so that keys sort as the program thinks. A tag is never used for anything
//! else again.
//!
//! In the partition of a day, that of the event's id:
//!
//! | key | value |
//! | --- | --- |
//! | `E` tenant 0 event | the event, and where it goes |
//! | `B` event | its payload, if that is not in the event's row |
//! | `D` subscription delivery | the delivery |
//! | `Q` subscription due delivery | nothing: the due index |
//! | `O` subscription length ordering key delivery | nothing: what is due, by the key it is ordered by |
//! | `A` position | an attempt |
//! | `I` tenant 0 idempotency key | the event that used it first |
//! | `P` key number | a further piece of a long value |
//! | `N` | how many events and attempts were written |
//! | `K` | how many batches were written |
//! | `T` tenant 0 subscription time type | counts of attempts that began in the five minutes from then |
//!
//! In the catalog:
//!
//! | key | value |
//! | --- | --- |
//! | `S` tenant 0 subscription | the subscription |
//! | `R` tenant 0 request id | the subscription as the request created it |
//! | `Y` tenant 0 replay | the replay |
//! | `L` API key | the API key |
//! | `F` | the first day there ever was |
//! | `G` | what retention removed: the day up to which, the position of the last attempt |
//! | `Z` day | the day is at rest: the position of its last attempt |
//! | `W` day | what the day held when the store was last closed: the position of its last attempt, the key of its last event |
//! | `X` day | something was taken out of the day whose bytes are still in its files |
//! | `U` | up to which position some are no times, and when the last of those was recorded |
//! | `C` | how far a copy into the store has come, until it is finished |
//! | `K` | how many batches were written |

mod stats;
mod tag;

use std::ops::Bound;

use super::{day::Day, kv::Bounds};
use crate::domain::{ApiKeyId, DeliveryId, EventId, ReplayId, SubscriptionId, TenantId, Timestamp};
use crate::storage::{DueKey, LogPosition};

pub(super) use stats::{stats, stats_key_of, stats_of, stats_skip};
pub(super) use tag::{Tag, tag_of};

const ID: usize = 16;

/// All rows of a kind.
pub(super) fn every(tag: Tag) -> Bounds {
    (
        Bound::Included(key(tag, &[])),
        Bound::Excluded(vec![tag as u8 + 1]),
    )
}

/// The rows of a kind from this key on, which is one of theirs; all if empty.
pub(super) fn every_from(tag: Tag, from: &[u8]) -> Bounds {
    let (first, end) = every(tag);
    if from.is_empty() {
        (first, end)
    } else {
        (Bound::Included(from.to_vec()), end)
    }
}

/// The first key after this one.
pub(super) fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

pub(super) fn event(tenant: &TenantId, id: EventId) -> Vec<u8> {
    named(Tag::Event, tenant, &id.to_bytes())
}

/// A tenant's events from the first to the last of these ids.
pub(super) fn events(tenant: &TenantId, first: EventId, last: EventId) -> Bounds {
    (
        Bound::Included(event(tenant, first)),
        Bound::Included(event(tenant, last)),
    )
}

/// The event of an event's key.
pub(super) fn event_of(key: &[u8]) -> Option<EventId> {
    key.last_chunk::<ID>().copied().map(EventId::from_bytes)
}

pub(super) fn body(id: EventId) -> Vec<u8> {
    key(Tag::Body, &[&id.to_bytes()])
}

pub(super) fn delivery(subscription: SubscriptionId, id: DeliveryId) -> Vec<u8> {
    key(Tag::Delivery, &[&subscription.to_bytes(), &id.to_bytes()])
}

/// A subscription's deliveries from the first to the last of these ids.
pub(super) fn deliveries(
    subscription: SubscriptionId,
    first: DeliveryId,
    last: DeliveryId,
) -> Bounds {
    (
        Bound::Included(delivery(subscription, first)),
        Bound::Included(delivery(subscription, last)),
    )
}

/// The delivery of a delivery's or a due key.
pub(super) fn delivery_of(key: &[u8]) -> Option<DeliveryId> {
    key.last_chunk::<ID>().copied().map(DeliveryId::from_bytes)
}

pub(super) fn due(subscription: SubscriptionId, place: DueKey) -> Vec<u8> {
    let due = place.due.as_micros().to_be_bytes();
    key(
        Tag::Due,
        &[
            &subscription.to_bytes(),
            &due,
            &place.delivery_id.to_bytes(),
        ],
    )
}

/// A subscription's queue after a place in it.
pub(super) fn queue(subscription: SubscriptionId, after: Option<DueKey>) -> Bounds {
    let first = match after {
        Some(place) => Bound::Excluded(due(subscription, place)),
        None => Bound::Included(key(Tag::Due, &[&subscription.to_bytes()])),
    };
    let last = due(
        subscription,
        DueKey {
            due: Timestamp::MAX,
            delivery_id: DeliveryId::from_bytes([0xff; ID]),
        },
    );
    (first, Bound::Included(last))
}

/// The queues of all subscriptions after one.
pub(super) fn queues(after: Option<SubscriptionId>) -> Bounds {
    let first = match after {
        Some(subscription) => {
            let (_, Bound::Included(last)) = queue(subscription, None) else {
                unreachable!("a queue's bounds include its last key")
            };
            Bound::Excluded(last)
        }
        None => Bound::Included(key(Tag::Due, &[])),
    };
    (first, Bound::Excluded(vec![Tag::Due as u8 + 1]))
}

/// The subscription and the place of a due key.
pub(super) fn place_of(key: &[u8]) -> Option<(SubscriptionId, DueKey)> {
    let (subscription, rest) = key.get(1..)?.split_first_chunk::<ID>()?;
    let (due, delivery) = rest.split_first_chunk::<8>()?;
    let place = DueKey {
        due: Timestamp::from_micros(u64::from_be_bytes(*due)),
        delivery_id: DeliveryId::from_bytes(delivery.try_into().ok()?),
    };
    Some((SubscriptionId::from_bytes(*subscription), place))
}

pub(super) fn order(
    subscription: SubscriptionId,
    ordering_key: &str,
    delivery: DeliveryId,
) -> Vec<u8> {
    let length = u16::try_from(ordering_key.len()).unwrap_or(u16::MAX);
    key(
        Tag::Order,
        &[
            &subscription.to_bytes(),
            &length.to_be_bytes(),
            ordering_key.as_bytes(),
            &delivery.to_bytes(),
        ],
    )
}

/// What comes before a delivery of its ordering key.
pub(super) fn ahead(
    subscription: SubscriptionId,
    ordering_key: &str,
    delivery: DeliveryId,
) -> Bounds {
    let first = DeliveryId::from_bytes([0; ID]);
    (
        Bound::Included(order(subscription, ordering_key, first)),
        Bound::Excluded(order(subscription, ordering_key, delivery)),
    )
}

/// The subscription, the ordering key and the delivery of an order key.
pub(super) fn ordered_of(key: &[u8]) -> Option<(SubscriptionId, &str, DeliveryId)> {
    let (subscription, rest) = key.get(1..)?.split_first_chunk::<ID>()?;
    let (_, rest) = rest.split_first_chunk::<2>()?;
    let (ordering_key, delivery) = rest.split_last_chunk::<ID>()?;
    Some((
        SubscriptionId::from_bytes(*subscription),
        std::str::from_utf8(ordering_key).ok()?,
        DeliveryId::from_bytes(*delivery),
    ))
}

pub(super) fn attempt(position: LogPosition) -> Vec<u8> {
    key(Tag::Attempt, &[&position.0.to_be_bytes()])
}

/// The attempts after one position, up to another.
pub(super) fn attempts(after: LogPosition, last: LogPosition) -> Bounds {
    (
        Bound::Excluded(attempt(after)),
        Bound::Included(attempt(last)),
    )
}

/// The position of an attempt's key.
pub(super) fn position_of(key: &[u8]) -> Option<LogPosition> {
    let position = key.get(1..)?.try_into().ok()?;
    Some(LogPosition(u64::from_be_bytes(position)))
}

pub(super) fn idempotency(tenant: &TenantId, name: &str) -> Vec<u8> {
    named(Tag::Idempotency, tenant, name.as_bytes())
}

/// A further piece of the value of `of`, counted from 1.
pub(super) fn piece(of: &[u8], number: u32) -> Vec<u8> {
    key(Tag::Piece, &[of, &number.to_be_bytes()])
}

/// Whose value a piece is of, and its number.
pub(super) fn piece_of(key: &[u8]) -> Option<(&[u8], u32)> {
    let (of, number) = key.get(1..)?.split_last_chunk()?;
    Some((of, u32::from_be_bytes(*number)))
}

/// All further pieces of the value of `of`.
pub(super) fn pieces(of: &[u8]) -> Bounds {
    (
        Bound::Included(piece(of, 0)),
        Bound::Included(piece(of, u32::MAX)),
    )
}

pub(super) fn tally() -> Vec<u8> {
    key(Tag::Tally, &[])
}

pub(super) fn commits() -> Vec<u8> {
    key(Tag::Commits, &[])
}

pub(super) fn subscription(tenant: &TenantId, id: SubscriptionId) -> Vec<u8> {
    named(Tag::Subscription, tenant, &id.to_bytes())
}

pub(super) fn request(tenant: &TenantId, name: &str) -> Vec<u8> {
    named(Tag::Request, tenant, name.as_bytes())
}

pub(super) fn replay(tenant: &TenantId, id: ReplayId) -> Vec<u8> {
    named(Tag::Replay, tenant, &id.to_bytes())
}

pub(super) fn api_key(id: ApiKeyId) -> Vec<u8> {
    key(Tag::ApiKey, &[&id.to_bytes()])
}

/// The id of an API key's key.
pub(super) fn api_key_of(key: &[u8]) -> Option<ApiKeyId> {
    let id = key.get(1..)?.try_into().ok()?;
    Some(ApiKeyId::from_bytes(id))
}

pub(super) fn first_day() -> Vec<u8> {
    key(Tag::FirstDay, &[])
}

pub(super) fn gone() -> Vec<u8> {
    key(Tag::Gone, &[])
}

pub(super) fn resting(day: Day) -> Vec<u8> {
    key(Tag::Resting, &[&day.number().to_be_bytes()])
}

/// All days at rest.
pub(super) fn all_resting() -> Bounds {
    every(Tag::Resting)
}

pub(super) fn witness(day: Day) -> Vec<u8> {
    key(Tag::Witness, &[&day.number().to_be_bytes()])
}

pub(super) fn rewrite(day: Day) -> Vec<u8> {
    key(Tag::Rewrite, &[&day.number().to_be_bytes()])
}

pub(super) fn untimed() -> Vec<u8> {
    key(Tag::Untimed, &[])
}

pub(super) fn copying() -> Vec<u8> {
    key(Tag::Copying, &[])
}

/// The tenant of a key that begins with one, and what follows.
pub(super) fn named_of(key: &[u8]) -> Option<(TenantId, &[u8])> {
    let named = key.get(1..)?;
    let end = named.iter().position(|byte| *byte == 0)?;
    let tenant = std::str::from_utf8(&named[..end]).ok()?.parse().ok()?;
    Some((tenant, &named[end + 1..]))
}

/// The number at the end of a key, or of a value that is one.
pub(super) fn number_of(bytes: &[u8]) -> Option<u64> {
    bytes.last_chunk().copied().map(u64::from_be_bytes)
}

fn key(tag: Tag, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(tag as u8);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// A tenant's name has no zero byte, so the zero ends it without doubt.
fn named(tag: Tag, tenant: &TenantId, name: &[u8]) -> Vec<u8> {
    key(tag, &[tenant.as_str().as_bytes(), &[0], name])
}

#[cfg(test)]
mod tests;
