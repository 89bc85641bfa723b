//! The bytes of every row: written by hand, compact, and each with a version.
//! A layout that is out is never changed; a new one gets the next version.

mod api_key;
mod attempt;
pub(super) mod code;
mod copying;
mod delivery;
mod event;
mod idempotency;
mod replay;
mod stats;
mod subscription;

#[cfg(test)]
mod tests;

pub(super) use api_key::{read_api_key, write_api_key};
pub(super) use attempt::{read_attempt, read_recorded, write_attempt, write_recorded};
pub(super) use copying::{read_copying, write_copying};
pub(super) use delivery::DeliveryRow;
pub(super) use event::{EventRow, INLINE};
pub(super) use idempotency::IdempotencyRow;
pub(super) use replay::{read_replay, write_replay};
pub(super) use stats::{read_counts, write_counts};
pub(super) use subscription::{
    SEALED_LAYOUT, Unreadable, read_request, read_subscription, write_request, write_subscription,
};
