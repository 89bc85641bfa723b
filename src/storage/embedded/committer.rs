//! The one that writes. It takes what has gathered, writes it as one batch for
//! each partition, syncs each once, and only then answers; the next group gathers
//! meanwhile. After the first write or sync that fails it acknowledges nothing any
//! more.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::{mpsc, watch};

use super::{
    change::{CatalogChange, Decided},
    day::{Day, from_kv},
    dir::DataDir,
    group::Group,
    key,
    kv::{Batch, Partition},
    rest, retain,
    rewrite::Rewrite,
    state::State,
    stats,
    write::{CancelPending, Reply, Write},
};
use crate::{
    domain::DeliveryId,
    storage::{
        CommitNumber, Created, Error, Health, LogPosition, Removed, Result, error::describe,
    },
};

/// Owns the right to write, the catalog and the data directory.
pub(super) struct Committer {
    pub(super) state: Arc<State>,
    pub(super) catalog: Arc<dyn Partition>,
    pub(super) commit: CommitNumber,
    pub(super) last_position: LogPosition,
    /// Most events and attempts in a group; larger calls are one by themselves.
    pub(super) group: usize,
    /// The day that is written anew.
    pub(super) rewrite: Option<Rewrite>,
    pub(super) ended: watch::Sender<bool>,
    /// Given up last, so that nobody else opens the store before.
    pub(super) dir: DataDir,
}

/// Sends a call's answer once its group is durable, or says why it is not.
type Answer = Box<dyn FnOnce(Result<()>) + Send>;

impl Committer {
    /// Makes a group of a write and of those that wait behind it.
    pub(super) fn gather(
        &mut self,
        first: Write,
        writes: &mut mpsc::Receiver<Write>,
        held: &mut Option<Write>,
    ) {
        let state = Arc::clone(&self.state);
        let mut group = Group::new(&state, self.last_position);
        let free = state.free();
        let mut answers = Vec::new();
        let mut settled = Vec::new();
        let mut weight = 0;
        let mut next = Some(first);
        while let Some(write) = next.take() {
            match write.weight() {
                Some(more) if weight == 0 || weight + more <= self.group => weight += more.max(1),
                _ => {
                    *held = Some(write);
                    break;
                }
            }
            answers.push(stage(&state, free, &mut group, write, &mut settled));
            if weight < self.group {
                next = writes.try_recv().ok();
            }
        }
        let outcome = self.commit(group, &settled);
        for answer in answers {
            answer(match &outcome {
                Ok(()) => Ok(()),
                Err(Error::Full) => Err(Error::Full),
                Err(_) => Err(state.closed()),
            });
        }
    }

    /// Makes a group durable, then visible, then announces it.
    pub(super) fn commit(&mut self, group: Group<'_>, settled: &[DeliveryId]) -> Result<()> {
        let mut written = group.finish();
        self.check_health()?;
        written.batches.retain(|_, batch| !batch.is_empty());
        let state = Arc::clone(&self.state);
        let mut batches = Vec::new();
        // A new day puts others to rest, so none is woken before all are there.
        for day in written.batches.keys() {
            self.prepared(self.create(*day))?;
        }
        for (day, mut batch) in written.batches {
            let partition = self.prepared(self.wake(day))?;
            let tally = written.tallies.remove(&day).unwrap_or_default();
            self.prepared(tally.add(&*partition, &mut batch))?;
            let counted = written.counted.remove(&day).unwrap_or_default();
            self.prepared(stats::add(&counted, &*partition, &mut batch))?;
            // If the disk is full, nothing is written and the store goes on.
            self.prepared(state.claim(&*partition, batch.size()))?;
            batches.push((day, partition, batch));
        }
        let mut nothing_written = true;
        for (day, partition, batch) in batches {
            let twice = self.rewritten(day).then(|| batch.clone());
            partition
                .commit(batch)
                .map_err(|error| match from_kv(error) {
                    Error::Full if nothing_written => Error::Full,
                    error => self.fail(&error),
                })?;
            nothing_written = false;
            self.write_anew(twice);
        }
        if let Some((last, _)) = written.attempts.last() {
            self.last_position = *last;
            state.tail.extend(&written.attempts);
            state.log_end.send_replace(*last);
        }
        if !settled.is_empty() {
            let mut in_flight = state.in_flight.lock();
            for id in settled {
                in_flight.remove(id);
            }
        }
        self.commit.0 += 1;
        written.hint.commit = self.commit;
        if !written.hint.accepted.is_empty() || !written.hint.rescheduled.is_empty() {
            // Nobody listening is fine: hints are hints.
            let _ = state.hints.send(Arc::new(written.hint));
        }
        state.announced.store(self.commit.0, Ordering::Release);
        Ok(())
    }

    fn prepared<T>(&self, prepared: Result<T>) -> Result<T> {
        prepared.map_err(|error| match error {
            Error::Full | Error::Closed(_) => error,
            error => self.fail(&error),
        })
    }

    /// Makes the partition of a day if there is none, and puts days to rest that
    /// are old now.
    fn create(&self, day: Day) -> Result<()> {
        let state = &self.state;
        let days = &state.days;
        if state.first_day.lock().is_none() {
            let mut batch = Batch::default();
            batch.put(key::first_day(), day.number().to_be_bytes().to_vec());
            self.commit_catalog(batch)?;
            *state.first_day.lock() = Some(day);
        }
        if days.contains(day) {
            return Ok(());
        }
        days.get_or_create(day)?;
        rest::settle(days, &*self.catalog)?;
        for old in days.older()? {
            days.release(old);
        }
        Ok(())
    }

    /// The partition of a day that is to be written. What the catalog says of
    /// the day is made true before.
    fn wake(&self, day: Day) -> Result<Arc<dyn Partition>> {
        let days = &self.state.days;
        if days.resting(day).is_some() {
            let mut batch = Batch::default();
            batch.remove(key::resting(day));
            self.commit_catalog(batch)?;
            days.set_resting(day, None);
        }
        days.get_or_create(day)
    }

    pub(super) fn cancel_pending(&mut self, call: &CancelPending) -> Result<usize> {
        let state = Arc::clone(&self.state);
        let mut group = Group::new(&state, self.last_position);
        let mut count = 0;
        for day in state.days.awake()? {
            for place in state.places(day, call.subscription, None, call.limit - count)? {
                group.cancel_waiting(call.subscription, place, call.now);
                count += 1;
            }
        }
        self.commit(group, &[]).map(|()| count)
    }

    pub(super) fn remove_expired(&mut self, before: Day) -> Result<Removed> {
        self.check_health()?;
        let mut removed = Removed::default();
        for day in self.state.days.all()? {
            if day >= before {
                break;
            }
            match self.remove(day) {
                Ok(Some(bytes)) => {
                    tracing::info!(%day, bytes, "expired day removed");
                    removed.days += 1;
                    removed.bytes += bytes;
                }
                Ok(None) => {
                    tracing::warn!(%day, "expired day kept, something in it is due");
                    removed.kept += 1;
                }
                // The other days need not wait for this one.
                Err(error) => {
                    tracing::error!(%day, %error, "expired day could not be removed");
                    removed.kept += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Removes a day unless something in it is due.
    fn remove(&mut self, day: Day) -> Result<Option<u64>> {
        let state = &self.state;
        let gone = *state.gone.lock();
        let Some(going) = retain::decide(&state.days, gone, day)? else {
            return Ok(None);
        };
        self.commit_catalog(going.note)?;
        *state.gone.lock() = going.gone;
        state.rewrites.remove(day);
        let removed = state.days.remove(day).map(Some);
        let rewrite = self.rewrite.take_if(|rewrite| rewrite.day == day);
        if rewrite.is_some() {
            drop(rewrite);
            state.days.give_up_anew(day)?;
        }
        removed
    }

    pub(super) fn change_catalog(&mut self, change: CatalogChange) -> Result<Created> {
        self.check_health()?;
        if change.is_new() {
            self.state.admit(0)?;
        }
        let (batch, change) = match change.decide(&self.state, &*self.catalog)? {
            Decided::Write(batch, change) => (batch, change),
            Decided::Nothing(created) => return Ok(created),
        };
        self.commit_catalog(batch)?;
        let mut subscriptions = self.state.subscriptions.write();
        match &change.now {
            Some(now) => subscriptions.put(Arc::clone(now)),
            None => subscriptions.remove(&change.tenant, change.id),
        }
        drop(subscriptions);
        let _ = self.state.changes.send(change);
        Ok(Created::New)
    }

    pub(super) fn commit_catalog(&self, batch: Batch) -> Result<()> {
        self.check_health()?;
        self.state.claim(&*self.catalog, batch.size())?;
        self.prepared(self.catalog.commit(batch).map_err(from_kv))
    }

    pub(super) fn check_health(&self) -> Result<()> {
        match &*self.state.health.borrow() {
            Health::Failed(why) => Err(Error::Closed(why.clone())),
            Health::Writable | Health::Full | Health::Unavailable => Ok(()),
        }
    }

    /// Nothing is acknowledged any more.
    pub(super) fn fail(&self, error: &Error) -> Error {
        let why = describe(error);
        tracing::error!(why, "write could not be made durable, no more are taken");
        self.state.health.send_replace(Health::Failed(why));
        self.state.closed()
    }
}

/// Adds a write to the group. Its answer waits for the group, unless it is
/// refused.
fn stage(
    state: &State,
    free: u64,
    group: &mut Group<'_>,
    write: Write,
    settled: &mut Vec<DeliveryId>,
) -> Answer {
    match write {
        Write::Accept(call, reply) => {
            let admitted = state.admit_of(free, group.size() + call.size());
            later(reply, admitted.and_then(|()| group.accept(call)))
        }
        Write::Record(records, reply) => {
            let staged = records.into_iter().try_for_each(|record| {
                settled.push(record.attempt.delivery_id);
                group.record(record)
            });
            later(reply, staged)
        }
        Write::Change(call, reply) => later(
            reply,
            group.change(&call.tenant, call.id, call.what, call.now),
        ),
        Write::CancelPending(..)
        | Write::Remove(..)
        | Write::Erase(..)
        | Write::Forget(..)
        | Write::Rewrite(..)
        | Write::Catalog(..)
        | Write::Replay(..)
        | Write::Key(..)
        | Write::Import(..)
        | Write::NoteCopy(..) => {
            unreachable!("a write without a weight is no part of a group")
        }
    }
}

fn later<T: Send + 'static>(reply: Reply<T>, staged: Result<T>) -> Answer {
    Box::new(move |outcome| respond(reply, outcome.and(staged)))
}

/// Answers, if the caller still waits.
pub(super) fn respond<T>(reply: Reply<T>, answer: Result<T>) {
    let _ = reply.send(answer);
}
