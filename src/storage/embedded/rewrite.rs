//! Writes days anew that something was taken out of, since a database keeps what
//! was removed or replaced in its files for as long as it likes.
//!
//! The live rows are copied beside the day, a piece at a time between the other
//! writes; what is written to the day meanwhile is written to both. At the end
//! the copy takes the place of the day by getting its name. Until then the day
//! is as good as it was, and a crash costs the copy alone. That a day has to be
//! written anew is noted before anything is taken out of it, until it is done.

use std::{collections::BTreeSet, ops::Bound, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc::WeakSender, oneshot},
    time::timeout,
};

use super::{
    committer::Committer,
    day::{Day, Days, from_kv},
    key::{self, Tag},
    kv::{Batch, Order, Partition, Step},
    state::State,
    write::Write,
};
use crate::storage::{Error, Result};

/// How many bytes are copied between two other writes.
const PIECE: u64 = 256 * 1024;

/// How long nothing more is taken out of a day before it is written anew.
const QUIET: Duration = Duration::from_secs(1);
/// Pause before one that could not be is tried again.
const PAUSE: Duration = Duration::from_mins(1);

/// A day that is written anew.
pub(super) struct Rewrite {
    pub(super) day: Day,
    copy: Arc<dyn Partition>,
    /// The first key that is still to be copied.
    next: Vec<u8>,
}

/// The days that have to be written anew.
#[derive(Debug)]
pub(super) struct Rewrites {
    days: Mutex<BTreeSet<Day>>,
    added: Notify,
}

impl Rewrites {
    /// Reads what the catalog says of the days.
    pub(super) fn read(days: &Days, catalog: &dyn Partition) -> Result<Self> {
        let mut noted = BTreeSet::new();
        let visit = &mut |key: &[u8], _: &[u8]| {
            noted.extend(key::number_of(key).map(Day::from_number));
            Step::Continue(())
        };
        catalog
            .scan(key::every(Tag::Rewrite), Order::Forwards, visit)
            .map_err(from_kv)?;
        noted.retain(|day| days.contains(*day));
        Ok(Self {
            days: Mutex::new(noted),
            added: Notify::new(),
        })
    }

    /// Has days written anew for as long as the store is open.
    pub(super) async fn drive(self: Arc<Self>, writes: WeakSender<Write>) {
        while writes.strong_count() > 0 {
            if !self.wait().await {
                continue;
            }
            match write_anew(&writes).await {
                Ok(()) => {}
                Err(Error::Closed(_)) => return,
                Err(error) => {
                    tracing::warn!(%error, "a day could not be written anew yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits until no more days are added for a while; whether there is one. A
    /// day that something is still taken out of would be begun again and again.
    async fn wait(&self) -> bool {
        while timeout(QUIET, self.added.notified()).await.is_ok() {}
        self.first().is_some()
    }

    fn contains(&self, day: Day) -> bool {
        self.days.lock().contains(&day)
    }

    fn first(&self) -> Option<Day> {
        self.days.lock().first().copied()
    }

    fn add(&self, day: Day) {
        self.days.lock().insert(day);
        self.added.notify_one();
    }

    pub(super) fn remove(&self, day: Day) {
        self.days.lock().remove(&day);
    }
}

/// Has days copied, piece by piece, until there is none that is noted.
async fn write_anew(writes: &WeakSender<Write>) -> Result<()> {
    let closed = || Error::Closed("it is closing".to_owned());
    loop {
        let (reply, answer) = oneshot::channel();
        let writes = writes.upgrade().ok_or_else(closed)?;
        let sent = writes.send(Write::Rewrite(reply)).await;
        drop(writes);
        sent.map_err(|_| closed())?;
        if !answer.await.map_err(|_| closed())?? {
            return Ok(());
        }
    }
}

impl Committer {
    /// Notes that something is about to be taken out of days. One that is being
    /// written anew is begun again.
    pub(super) fn note_rewrites(&mut self, days: BTreeSet<Day>) -> Result<()> {
        self.rewrite.take_if(|rewrite| days.contains(&rewrite.day));
        let mut batch = Batch::default();
        let is_news = |day: &&Day| !self.state.rewrites.contains(**day);
        for day in days.iter().filter(is_news) {
            batch.put(key::rewrite(*day), Vec::new());
            // It may name what is about to go.
            batch.remove(key::witness(*day));
        }
        if !batch.is_empty() {
            self.commit_catalog(batch)?;
        }
        for day in days {
            self.state.rewrites.add(day);
        }
        Ok(())
    }

    /// Whether this day is being written anew.
    pub(super) fn rewritten(&self, day: Day) -> bool {
        self.rewrite
            .as_ref()
            .is_some_and(|rewrite| rewrite.day == day)
    }

    /// Writes to the copy what was written to the day. A copy that fails is given
    /// up, and the day begun again.
    pub(super) fn write_anew(&mut self, batch: Option<Batch>) {
        if let Some((rewrite, batch)) = self.rewrite.as_ref().zip(batch)
            && let Err(error) = rewrite.copy.commit(batch)
        {
            tracing::warn!(day = %rewrite.day, %error, "copy of a day given up");
            self.rewrite = None;
        }
    }

    /// Copies a piece of a day; true if there may be more to copy at once.
    pub(super) fn rewrite(&mut self) -> Result<bool> {
        self.check_health()?;
        let rewrite = match self.rewrite.take() {
            Some(rewrite) => Some(rewrite),
            None => self.begin_rewrite()?,
        };
        let Some(mut rewrite) = rewrite else {
            return Ok(false);
        };
        let day = rewrite.day;
        match rewrite.go_on(&self.state) {
            Ok(true) => self.rewrite = Some(rewrite),
            Ok(false) => {
                drop(rewrite);
                self.finish_rewrite(day)?;
            }
            Err(error) => {
                // What there is of it takes room that others may need.
                drop(rewrite);
                self.state.days.give_up_anew(day)?;
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Begins with the first day that is noted, if there is room for a copy.
    fn begin_rewrite(&self) -> Result<Option<Rewrite>> {
        let state = &self.state;
        let Some(day) = state.rewrites.first() else {
            return Ok(None);
        };
        if !state.days.contains(day) {
            self.forget_rewrite(day)?;
            return Ok(None);
        }
        state.spare(state.days.size(day)?)?;
        Ok(Some(Rewrite {
            day,
            copy: state.days.begin_anew(day)?,
            next: Vec::new(),
        }))
    }

    fn finish_rewrite(&self, day: Day) -> Result<()> {
        let days = &self.state.days;
        // What is in doubt after an error is where to write.
        let replaced = days.replace(day).map_err(|error| self.fail(&error))?;
        tracing::info!(%day, "day written anew without what was taken out of it");
        days.remove_replaced(&replaced)?;
        self.forget_rewrite(day)
    }

    fn forget_rewrite(&self, day: Day) -> Result<()> {
        let mut batch = Batch::default();
        batch.remove(key::rewrite(day));
        self.commit_catalog(batch)?;
        self.state.rewrites.remove(day);
        Ok(())
    }
}

impl Rewrite {
    /// Copies a piece; false if that was the last. Nobody else writes, so with
    /// the last one the copy is whole.
    fn go_on(&mut self, state: &State) -> Result<bool> {
        let Some(partition) = state.days.get(self.day)? else {
            return Ok(false);
        };
        let mut piece = Batch::default();
        let mut size = 0;
        let bounds = (Bound::Included(self.next.clone()), Bound::Unbounded);
        let visit = &mut |key: &[u8], value: &[u8]| {
            size += (key.len() + value.len()) as u64;
            piece.put(key.to_vec(), value.to_vec());
            self.next = key::after(key.to_vec());
            if size < PIECE {
                Step::Continue(())
            } else {
                Step::Break(())
            }
        };
        partition
            .scan(bounds, Order::Forwards, visit)
            .map_err(from_kv)?;
        state.spare(size + self.copy.upkeep().map_err(from_kv)?)?;
        self.copy.commit(piece).map_err(from_kv)?;
        Ok(size >= PIECE)
    }
}
