//! Between messages and domain types, by free functions: `from_...` checks what
//! came, all of it at once, and `to_...` shows what there is.

pub(super) mod api_key;
pub(super) mod delivery;
pub(super) mod erase;
pub(super) mod event;
pub(super) mod explain;
mod fields;
pub(super) mod filter;
mod json;
pub(super) mod replay;
mod retry_policy;
mod spec;
pub(super) mod stats;
pub(super) mod subscription;
pub(super) mod tail;
#[cfg(test)]
mod tests;
mod time;
#[cfg(test)]
mod whatever_comes;

use std::str::FromStr;

pub(super) use self::time::to_duration;
use self::{
    fields::Fields,
    time::{from_duration, from_timestamp, to_timestamp},
};
use crate::{control::Error, domain::Invalid};

/// Checks the id of a request that has no other field.
pub(super) fn from_id<T: FromStr<Err = Invalid>>(field: &str, id: &str) -> Result<T, Error> {
    let mut fields = Fields::default();
    let id = fields.parse(field, id);
    fields.finish(|| id)
}
