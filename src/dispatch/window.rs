//! The part of one subscription's queue that is held in memory: its earliest
//! deliveries, up to a horizon beyond which only the store knows, and of those
//! beyond it a few that were just accepted.
//!
//! Up to the horizon the window holds every waiting delivery but those under
//! way. A page of the queue may be older than what memory learnt while it was
//! read, and memory may have missed a hint. So of two places of a delivery the
//! earlier one is kept: an attempt that comes too early, or for a delivery that
//! was settled, finds that out when it loads it, and nothing is too late.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{
    domain::{DeliveryId, Event, Timestamp, Trigger},
    storage::{DueKey, DuePage},
};

/// How late the first delivery is when the newest ones get every other turn.
const LATE: Duration = Duration::from_secs(10);
/// Of so many deliveries one may be held beyond the horizon.
pub(super) const PER_BEYOND: usize = 16;

/// An accepted event that is still in memory.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub(super) event: Arc<Event>,
    pub(super) trigger: Trigger,
}

/// How far the window knows the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Horizon {
    /// Up to and including a place; nothing if `None`.
    At(Option<DueKey>),
    /// All of it.
    End,
}

/// A read under way.
#[derive(Debug, Default)]
struct Read {
    /// The earliest place that was too much to keep since the read began.
    dropped: Option<DueKey>,
    /// Set if the page cannot be used.
    void: bool,
    /// Set if it begins where the queue does, to find what others added.
    anew: bool,
}

#[derive(Debug)]
pub(super) struct Window {
    entries: BTreeMap<DueKey, Option<Fresh>>,
    /// Fresh ones beyond the horizon, which the store knows as well.
    beyond: BTreeMap<DueKey, Option<Fresh>>,
    places: HashMap<DeliveryId, DueKey>,
    bytes: usize,
    horizon: Horizon,
    newest_next: bool,
    /// Set if others may have added to what the window reaches.
    outdated: bool,
    read: Option<Read>,
}

impl Window {
    /// The window of a queue that is empty.
    pub(super) fn of_empty() -> Self {
        Self {
            horizon: Horizon::End,
            ..Self::of_unknown()
        }
    }

    /// The window of a queue that is still to be read.
    pub(super) fn of_unknown() -> Self {
        Self {
            entries: BTreeMap::new(),
            beyond: BTreeMap::new(),
            places: HashMap::new(),
            bytes: 0,
            horizon: Horizon::At(None),
            newest_next: false,
            outdated: false,
            read: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.beyond.len()
    }

    /// Bytes of the payloads it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds all of the queue.
    pub(super) fn is_complete(&self) -> bool {
        self.horizon == Horizon::End
    }

    /// Whether the queue may have what the window has not.
    pub(super) fn wants_reading(&self) -> bool {
        self.outdated || !self.is_complete()
    }

    /// Whether that is within its reach.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// Notes that others added to the queue: it is to be read from its start.
    pub(super) fn outdate(&mut self) {
        self.outdated = true;
    }

    pub(super) fn holds(&self, id: DeliveryId) -> bool {
        self.places.contains_key(&id)
    }

    pub(super) fn first(&self) -> Option<DueKey> {
        let mut keys = self.entries.keys().chain(self.beyond.keys());
        keys.next().copied()
    }

    pub(super) fn take_first(&mut self) -> Option<(DueKey, Option<Fresh>)> {
        self.take(self.first()?)
    }

    /// Takes the first delivery, or if that is late the newest every other
    /// time, so that fresh events do not wait for a whole backlog.
    pub(super) fn take_next(&mut self, now: Timestamp) -> Option<(DueKey, Option<Fresh>)> {
        let first = self.first()?;
        let newest = self.newest_next && first.due.after(LATE) < now;
        self.newest_next = !newest;
        if newest {
            self.take_newest(now)
        } else {
            self.take(first)
        }
    }

    /// Takes the last delivery that is due.
    pub(super) fn take_newest(&mut self, now: Timestamp) -> Option<(DueKey, Option<Fresh>)> {
        let due = ..=DueKey {
            due: now,
            delivery_id: DeliveryId::from_bytes([u8::MAX; 16]),
        };
        let beyond = self.beyond.range(due).next_back();
        let newest = beyond.or_else(|| self.entries.range(due).next_back());
        self.take(*newest?.0)
    }

    /// Takes a delivery wherever it is, and its event if that is in memory.
    pub(super) fn take_any(&mut self, id: DeliveryId) -> Option<Fresh> {
        let key = self.places.get(&id).copied()?;
        self.take(key)?.1
    }

    fn take(&mut self, key: DueKey) -> Option<(DueKey, Option<Fresh>)> {
        let entry = self.entries.remove(&key);
        let fresh = entry.or_else(|| self.beyond.remove(&key))?;
        self.forget_place(key, fresh.as_ref());
        Some((key, fresh))
    }

    /// Puts a delivery in its place, away from any other, if the window
    /// reaches that far. While a read is under way it is kept in any case.
    pub(super) fn insert(&mut self, key: DueKey, fresh: Option<Fresh>) {
        self.remove(key.delivery_id);
        if self.reaches(key) || self.read.is_some() {
            self.note_place(key, fresh.as_ref());
            self.entries.insert(key, fresh);
        }
    }

    /// Puts a delivery that was just accepted in its place, even beyond the
    /// horizon.
    pub(super) fn insert_fresh(&mut self, key: DueKey, fresh: Option<Fresh>) {
        if self.reaches(key) || self.read.is_some() {
            return self.insert(key, fresh);
        }
        self.remove(key.delivery_id);
        self.note_place(key, fresh.as_ref());
        self.beyond.insert(key, fresh);
    }

    pub(super) fn remove(&mut self, id: DeliveryId) {
        if let Some(key) = self.places.get(&id).copied() {
            self.take(key);
        }
    }

    /// Drops the latest deliveries until no more than `cap` are left, and
    /// beyond the horizon the earliest until few are.
    pub(super) fn shrink_to(&mut self, cap: usize) {
        while self.beyond.len() > cap / PER_BEYOND
            && let Some((key, fresh)) = self.beyond.pop_first()
        {
            self.forget_place(key, fresh.as_ref());
        }
        while self.entries.len() > cap {
            let Some(dropped) = self.drop_last() else {
                return;
            };
            if self.reaches(dropped) {
                self.horizon = Horizon::At(self.entries.keys().next_back().copied());
            }
            if let Some(read) = &mut self.read {
                let earliest = read.dropped.map_or(dropped, |other| other.min(dropped));
                read.dropped = Some(earliest);
            }
        }
    }

    /// Drops everything: the queue is to be read anew.
    pub(super) fn forget(&mut self) {
        let read = self.read.take();
        *self = Self {
            read: read.map(|read| Read { void: true, ..read }),
            ..Self::of_unknown()
        };
    }

    /// Begins to read the queue on; says after which place.
    pub(super) fn begin_read(&mut self) -> Option<DueKey> {
        let anew = std::mem::take(&mut self.outdated);
        self.read = Some(Read {
            anew,
            ..Read::default()
        });
        match self.horizon {
            Horizon::At(place) if !anew => place,
            _ => None,
        }
    }

    /// Ends a read. `page` is `None` if it failed. Deliveries for which
    /// `is_under_way` are left out.
    pub(super) fn end_read(
        &mut self,
        page: Option<DuePage>,
        mut is_under_way: impl FnMut(DueKey) -> bool,
    ) {
        let Some(read) = self.read.take() else { return };
        if let Some(page) = page.filter(|_| !read.void) {
            let end = match page.entries.last() {
                _ if page.complete => Horizon::End,
                Some(last) => Horizon::At(Some(*last)),
                None => self.horizon,
            };
            for key in page.entries {
                let known = self.places.get(&key.delivery_id);
                if known.is_some_and(|known| *known <= key) || is_under_way(key) {
                    continue;
                }
                self.remove(key.delivery_id);
                self.places.insert(key.delivery_id, key);
                self.entries.insert(key, None);
            }
            let reached = match read.dropped {
                Some(dropped) if Horizon::At(Some(dropped)) <= end => {
                    let before = self.entries.range(..dropped).next_back();
                    Horizon::At(before.map(|(key, _)| *key))
                }
                _ => end,
            };
            self.horizon = if read.anew {
                reached
            } else {
                self.horizon.max(reached)
            };
        }
        while let Some(entry) = self.beyond.first_entry()
            && Horizon::At(Some(*entry.key())) <= self.horizon
        {
            let (key, fresh) = entry.remove_entry();
            self.entries.insert(key, fresh);
        }
        while self
            .entries
            .keys()
            .next_back()
            .is_some_and(|key| !self.reaches(*key))
        {
            self.drop_last();
        }
    }

    fn reaches(&self, key: DueKey) -> bool {
        Horizon::At(Some(key)) <= self.horizon
    }

    fn drop_last(&mut self) -> Option<DueKey> {
        let (key, fresh) = self.entries.pop_last()?;
        self.forget_place(key, fresh.as_ref());
        Some(key)
    }

    fn note_place(&mut self, key: DueKey, fresh: Option<&Fresh>) {
        self.places.insert(key.delivery_id, key);
        self.bytes += fresh.map_or(0, size);
    }

    fn forget_place(&mut self, key: DueKey, fresh: Option<&Fresh>) {
        self.places.remove(&key.delivery_id);
        self.bytes -= fresh.map_or(0, size);
    }
}

/// Bytes of the payload.
pub(super) fn size(fresh: &Fresh) -> usize {
    fresh.event.payload.data.len()
}
