//! Retention: days are dropped as a whole, which gives their space back at
//! once, and the catalog keeps what is gone, for those who read the log.
//!
//! The committer decides, so that nothing in a day becomes due again while it
//! goes. What is gone is noted before it goes: after a crash in between the
//! day is still there, and goes next time.

use async_trait::async_trait;

use super::{
    day::{Day, Days, from_kv},
    key,
    kv::{Batch, Partition},
    rest,
    store::Store,
    write::Write,
};
use crate::{
    domain::{TenantId, Timestamp},
    storage::{LogPosition, Removed, RemovedEvents, Result, Retention},
};

#[async_trait]
impl Retention for Store {
    async fn remove_expired(&self, before: Timestamp) -> Result<Removed> {
        let before = Day::of(before);
        self.write(|reply| Write::Remove(before, reply)).await
    }

    async fn remove_of_tenant(
        &self,
        tenant: &TenantId,
        before: Timestamp,
    ) -> Result<RemovedEvents> {
        self.forget_events(tenant, Day::of(before)).await
    }
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Gone {
    /// Days before this one are gone, but for those that were kept.
    pub(super) before: Option<Day>,
    /// The position of the last attempt that is gone.
    pub(super) last: LogPosition,
}

impl Gone {
    pub(super) fn read(catalog: &dyn Partition) -> Result<Self> {
        let row = catalog.get(&key::gone()).map_err(from_kv)?;
        let Some(row) = row else {
            return Ok(Self::default());
        };
        let parts = row.split_at_checked(8);
        let numbers = parts.and_then(|(day, last)| key::number_of(day).zip(key::number_of(last)));
        let (day, last) = numbers.ok_or_else(|| super::piece::malformed(&key::gone()))?;
        Ok(Self {
            before: Some(Day::from_number(day)),
            last: LogPosition(last),
        })
    }

    /// With what is gone of a store that is copied.
    pub(super) fn and(self, before: Timestamp, last: LogPosition) -> Self {
        Self {
            before: self.before.max(Some(Day::of(before))),
            last: self.last.max(last),
        }
    }

    /// With one more day.
    fn with(self, day: Day, last: LogPosition) -> Self {
        Self {
            before: self.before.max(Some(day.next())),
            last: self.last.max(last),
        }
    }

    pub(super) fn write(self, batch: &mut Batch) {
        let Some(before) = self.before else {
            return;
        };
        let numbers = [before.number(), self.last.0];
        batch.put(key::gone(), numbers.map(u64::to_be_bytes).concat());
    }
}

/// A day that may be removed.
pub(super) struct Going {
    /// What is gone once the day is.
    pub(super) gone: Gone,
    /// What the catalog has to say before the day goes.
    pub(super) note: Batch,
}

/// What becomes of a day that expired; `None` if something in it is due.
pub(super) fn decide(days: &Days, gone: Gone, day: Day) -> Result<Option<Going>> {
    let Some(last) = rest::last_if_at_rest(days, day)? else {
        return Ok(None);
    };
    let gone = gone.with(day, last);
    let mut note = Batch::default();
    gone.write(&mut note);
    note.remove(key::resting(day));
    note.remove(key::witness(day));
    note.remove(key::rewrite(day));
    Ok(Some(Going { gone, note }))
}
