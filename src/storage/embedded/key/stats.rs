//! The keys of counts.

use super::{ID, Tag, named, named_of};
use crate::domain::{StatsKey, SubscriptionId, TenantId, TimeRange, Timestamp};

pub(in super::super) fn stats(tenant: &TenantId, key: &StatsKey) -> Vec<u8> {
    let mut bytes = at(tenant, key.subscription_id, key.start);
    bytes.extend_from_slice(key.event_type.as_str().as_bytes());
    bytes
}

/// The tenant and what is counted, of a key.
pub(in super::super) fn stats_key_of(key: &[u8]) -> Option<(TenantId, StatsKey)> {
    let (tenant, rest) = named_of(key)?;
    let (subscription, rest) = rest.split_first_chunk::<ID>()?;
    let (start, event_type) = rest.split_first_chunk()?;
    let key = StatsKey {
        subscription_id: SubscriptionId::from_bytes(*subscription),
        start: Timestamp::from_micros(u64::from_be_bytes(*start)),
        event_type: std::str::from_utf8(event_type).ok()?.parse().ok()?,
    };
    Some((tenant, key))
}

/// The first key and the end of what is counted of a tenant from a time on: of
/// one subscription up to the end of the time, or of all of them.
pub(in super::super) fn stats_of(
    tenant: &TenantId,
    subscription: Option<SubscriptionId>,
    range: TimeRange,
) -> (Vec<u8>, Vec<u8>) {
    if let Some(id) = subscription {
        return (at(tenant, id, range.start), at(tenant, id, range.end));
    }
    let first = at(tenant, SubscriptionId::from_bytes([0; ID]), range.start);
    // No id is so large.
    let last = SubscriptionId::from_bytes([0xff; ID]);
    let last = at(tenant, last, Timestamp::MAX);
    (first, last)
}

/// From where on to look after a key that is not within the range: in the range
/// of the same subscription, or after all of that.
pub(in super::super) fn stats_skip(tenant: &TenantId, key: &StatsKey, range: TimeRange) -> Vec<u8> {
    let time = if key.start < range.start {
        range.start
    } else {
        Timestamp::MAX
    };
    at(tenant, key.subscription_id, time)
}

fn at(tenant: &TenantId, subscription: SubscriptionId, start: Timestamp) -> Vec<u8> {
    let start = start.as_micros().to_be_bytes();
    named(
        Tag::Stats,
        tenant,
        &[subscription.to_bytes().as_slice(), &start].concat(),
    )
}
