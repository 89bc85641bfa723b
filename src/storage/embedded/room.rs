//! Room on the disk. No engine recovers from a write that found none, so it is
//! looked for before: new work is refused while there is still room for the
//! results of what was accepted, and those find some set apart. What a store
//! needs to tidy up after itself is never given to either.
//!
//! A reserve file keeps room that other processes cannot take. It is given up
//! when nothing else is left, at opening too, and made anew later.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use rustix::fs::{FallocateFlags, fallocate};

use super::{
    day::{Days, from_kv},
    kv::Partition,
    state::State,
    threads::Threads,
};
use crate::storage::{Error, Health, Result, error::describe};

const MIB: u64 = 1024 * 1024;

/// What has to stay free after events are accepted: their deliveries are still
/// to be recorded.
const FOR_RESULTS: u64 = 12 * MIB;
/// What has to stay free after any write, where none can be set apart.
const LEAST: u64 = 2 * MIB;
/// More than what stays free, so that a store does not turn full and back.
const EASED: u64 = FOR_RESULTS + 2 * MIB;
/// Size of the reserve.
const RESERVE: u64 = 8 * MIB;
/// How many bytes an engine writes for one, at worst.
const AMPLIFICATION: u64 = 4;

/// How often is looked whether there is room again.
const LOOK: Duration = Duration::from_secs(1);
/// After how many looks at a full disk partitions are tidied, of how many.
const PATIENCE: u32 = 3;
const TIDIES: u32 = 60;

/// The reserve file.
#[derive(Debug)]
pub(super) struct Reserve(PathBuf);

impl Reserve {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Gives the reserve up if there is little room to open a store.
    pub(super) fn ease(&self, days: &Days) -> io::Result<()> {
        if days.free().is_ok_and(|free| free < RESERVE) {
            self.give_up()?;
        }
        Ok(())
    }

    /// Gives the reserve up; false if there was none.
    fn give_up(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn make(&self) -> io::Result<()> {
        let file = File::create(&self.0)?;
        let made = fallocate(&file, FallocateFlags::empty(), 0, RESERVE);
        if made.is_err() {
            // Where blocks cannot be set apart there is no reserve.
            self.give_up()?;
        }
        Ok(())
    }
}

impl State {
    /// Refuses new work of about so many bytes unless there is room for it and
    /// for what comes of it.
    pub(super) fn admit(&self, bytes: u64) -> Result<()> {
        self.admit_of(self.free(), bytes)
    }

    /// The same, where so much was free a moment ago.
    pub(super) fn admit_of(&self, free: u64, bytes: u64) -> Result<()> {
        if free >= FOR_RESULTS + bytes * AMPLIFICATION {
            return Ok(());
        }
        self.turn(&Health::Full);
        Err(Error::Full)
    }

    /// Refuses what can wait, unless there is room for so many bytes that others
    /// do not need.
    pub(super) fn spare(&self, bytes: u64) -> Result<()> {
        if self.free() >= EASED + bytes {
            Ok(())
        } else {
            Err(Error::Full)
        }
    }

    /// Makes sure that a write finds room, with the reserve if it must be.
    pub(super) fn claim(&self, partition: &dyn Partition, bytes: u64) -> Result<()> {
        if self.has_room(partition, bytes)? {
            return Ok(());
        }
        self.turn(&Health::Full);
        if let Err(error) = self.reserve.give_up() {
            tracing::error!(%error, "the reserve could not be given up");
        }
        if self.has_room(partition, bytes)? {
            Ok(())
        } else {
            Err(Error::Full)
        }
    }

    fn has_room(&self, partition: &dyn Partition, bytes: u64) -> Result<bool> {
        match partition.claim(bytes).map_err(from_kv) {
            Err(Error::Full) => Ok(false),
            Ok(false) => Ok(self.free() >= LEAST + bytes * AMPLIFICATION),
            claimed => claimed,
        }
    }

    /// What is free beside what the partitions need for themselves. A disk that
    /// cannot tell is no reason to refuse.
    pub(super) fn free(&self) -> u64 {
        let free = self.days.free().unwrap_or(u64::MAX);
        match self.upkeep() {
            Ok(upkeep) => free.saturating_sub(upkeep),
            Err(Error::Full) => 0,
            Err(error) => {
                self.fail(describe(&error));
                0
            }
        }
    }

    /// Has partitions give back what they can, now and then while it is full.
    fn tidy(&self) {
        let looks = self.full_looks.fetch_add(1, Relaxed);
        if looks % TIDIES != PATIENCE {
            return;
        }
        for partition in self.open_partitions() {
            if let Err(error) = partition.tidy() {
                tracing::warn!(%error, "a partition gives nothing back");
            }
        }
    }

    /// The most that a partition needs of the disk for itself; `Full` if one
    /// found too little.
    fn upkeep(&self) -> Result<u64> {
        let mut most = 0;
        for partition in self.open_partitions() {
            most = most.max(partition.upkeep().map_err(from_kv)?);
        }
        Ok(most)
    }

    fn open_partitions(&self) -> impl Iterator<Item = Arc<dyn Partition>> {
        let catalog = self.catalog.lock().clone();
        catalog.into_iter().chain(self.days.open())
    }

    /// Takes no more writes.
    fn fail(&self, why: String) {
        tracing::error!(why, "no more writes are taken");
        self.health.send_replace(Health::Failed(why));
    }

    /// Notes whether the disk is full; a store that failed stays so.
    fn turn(&self, health: &Health) {
        let turned = self.health.send_if_modified(|now| {
            let turns = !matches!(now, Health::Failed(_)) && now != health;
            if turns {
                *now = health.clone();
            }
            turns
        });
        if turned && *health == Health::Full {
            tracing::warn!(free = self.free(), "disk is full, nothing new is taken");
        } else if turned {
            tracing::info!(free = self.free(), "disk has room again");
        }
    }

    fn look(&self) {
        if let Some(dir) = self.home.missing() {
            return self.fail(format!("{} was removed or moved away", dir.display()));
        }
        let free = self.free();
        if free < FOR_RESULTS {
            self.turn(&Health::Full);
            self.tidy();
        } else if free >= EASED {
            self.turn(&Health::Writable);
            self.full_looks.store(0, Relaxed);
        }
        if free >= EASED + RESERVE
            && !self.reserve.0.exists()
            && let Err(error) = self.reserve.make()
        {
            tracing::warn!(%error, "the reserve could not be made");
        }
    }
}

/// Watches the disk for as long as the store is open.
pub(super) fn watch(state: &Arc<State>, threads: Threads) -> io::Result<()> {
    state.look();
    let state = Arc::downgrade(state);
    threads.keep_looking(LOOK, move || {
        let open = state.upgrade().filter(|state| state.days.all().is_ok());
        open.inspect(|state| state.look()).is_some()
    })
}
