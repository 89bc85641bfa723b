//! The catalog: whether its rows read, and what they say of the days.

use std::{collections::BTreeMap, ops::Bound};

use super::Report;
use crate::{
    domain::{ReplayId, SubscriptionId},
    storage::{
        LogPosition, Result,
        embedded::{
            day::{Day, from_kv},
            key::{self, Tag},
            kv::{Order, Partition, Step},
            piece,
            retain::Gone,
            row::{
                Unreadable, read_api_key, read_copying, read_replay, read_request,
                read_subscription,
            },
            untimed::Untimed,
            witness::Witness,
        },
    },
};

/// What the catalog says of the days.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The days at rest, with the position of their last attempt.
    pub(super) resting: BTreeMap<Day, LogPosition>,
    /// What days held for certain.
    pub(super) witnesses: BTreeMap<Day, Witness>,
    pub(super) gone: Gone,
}

impl Notes {
    /// Reads the catalog and reports what does not read.
    pub(super) fn read(catalog: &dyn Partition, report: &mut Report) -> Result<Self> {
        let mut notes = Self::default();
        let whole = (Bound::Unbounded, Bound::Unbounded);
        let visit = &mut |key: &[u8], row: &[u8]| {
            if notes.row(catalog, key, row, report).is_none() {
                report.malformed(key);
            }
            Step::Continue(())
        };
        catalog
            .scan(whole, Order::Forwards, visit)
            .map_err(from_kv)?;
        Ok(notes)
    }

    /// Looks at a row; `None` if it makes no sense.
    fn row(
        &mut self,
        catalog: &dyn Partition,
        key: &[u8],
        first: &[u8],
        report: &mut Report,
    ) -> Option<()> {
        let keyring = report.keyring.clone();
        let totals = &mut report.checked.totals;
        match key::tag_of(key)? {
            Tag::Subscription => {
                totals.subscriptions += 1;
                let (tenant, id) = key::named_of(key)?;
                let id = SubscriptionId::from_bytes(id.try_into().ok()?);
                let row = piece::join(catalog, key, first).ok()?;
                match read_subscription(tenant, id, &row, &keyring) {
                    Ok(read) => totals.subscription_versions += read.version.0,
                    Err(Unreadable::Sealed(key)) => report.sealed(key),
                    Err(Unreadable::Malformed) => return None,
                }
            }
            Tag::Request => {
                totals.requests += 1;
                let (tenant, name) = key::named_of(key)?;
                std::str::from_utf8(name).ok()?;
                let row = piece::join(catalog, key, first).ok()?;
                match read_request(tenant, &row, &keyring) {
                    Err(Unreadable::Sealed(key)) => report.sealed(key),
                    read => drop(read.ok()?),
                }
            }
            Tag::Replay => {
                let (tenant, id) = key::named_of(key)?;
                let id = ReplayId::from_bytes(id.try_into().ok()?);
                read_replay(tenant, id, &piece::join(catalog, key, first).ok()?).ok()?;
            }
            Tag::ApiKey => {
                totals.api_keys += 1;
                let id = key::api_key_of(key)?;
                let found = read_api_key(id, &piece::join(catalog, key, first).ok()?).ok()?;
                totals.revoked_api_keys += u64::from(found.revoke_time.is_some());
            }
            Tag::Resting => {
                let (day, last) = (number(&key[1..])?, number(first)?);
                self.resting
                    .insert(Day::from_number(day), LogPosition(last));
            }
            Tag::Witness => {
                let day = Day::from_number(number(&key[1..])?);
                self.witnesses.insert(day, Witness::read(first)?);
            }
            // It is noted before the day is made, which a crash may prevent.
            Tag::FirstDay => {
                number(first)?;
            }
            Tag::Rewrite => {
                number(&key[1..])?;
            }
            // Held to the file beside it when the partition is opened.
            Tag::Commits => {}
            Tag::Gone => self.gone = Gone::read(catalog).ok()?,
            Tag::Untimed => {
                Untimed::read(catalog).ok()?;
            }
            Tag::Copying => {
                let row = piece::join(catalog, key, first).ok()?;
                let source = read_copying(&row).ok()?.source;
                report.find(format!("a copy from {source} is not finished"));
            }
            Tag::Piece => return piece::has_owner(catalog, key).ok()?.then_some(()),
            _ => return None,
        }
        Some(())
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}
