//! Whether the server takes calls and delivers, from all that it needs for that.

use std::{mem, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{dispatch::Heartbeat, storage::Health};

/// How often the scheduler is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A scheduler that shows no sign for so long is stuck; it shows one a second.
const STUCK: Duration = Duration::from_secs(5);

/// What readiness depends on.
pub(super) struct Readiness {
    /// The store takes writes.
    pub(super) store: watch::Receiver<Health>,
    /// The system gives connections.
    pub(super) accepting: watch::Receiver<bool>,
    /// The scheduler goes on.
    pub(super) heartbeat: Heartbeat,
    /// The server is about to end.
    pub(super) draining: CancellationToken,
}

impl Readiness {
    /// Keeps `ready` true to all of it until the server drains.
    pub(super) async fn follow(mut self, ready: watch::Sender<bool>) {
        let mut scheduler = Watched::new(self.heartbeat);
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.draining.is_cancelled() {
            let writable = *self.store.borrow_and_update() == Health::Writable;
            let accepting = *self.accepting.borrow_and_update();
            let is_ready = scheduler.goes_on() && writable && accepting;
            ready.send_if_modified(|ready| mem::replace(ready, is_ready) != is_ready);
            let is_gone = tokio::select! {
                () = self.draining.cancelled() => true,
                changed = self.store.changed() => changed.is_err(),
                changed = self.accepting.changed() => changed.is_err(),
                _ = looks.tick() => false,
            };
            if is_gone {
                break;
            }
        }
        ready.send_replace(false);
    }
}

/// The scheduler under watch.
struct Watched {
    heartbeat: Heartbeat,
    beats: u64,
    since: Instant,
    is_stuck: bool,
}

impl Watched {
    fn new(heartbeat: Heartbeat) -> Self {
        Self {
            beats: heartbeat.beats(),
            heartbeat,
            since: Instant::now(),
            is_stuck: false,
        }
    }

    fn goes_on(&mut self) -> bool {
        let beats = self.heartbeat.beats();
        if beats != self.beats {
            self.beats = beats;
            self.since = Instant::now();
        }
        let is_stuck = self.since.elapsed() >= STUCK;
        match (mem::replace(&mut self.is_stuck, is_stuck), is_stuck) {
            (false, true) => tracing::error!("scheduler is stuck, nothing is delivered"),
            (true, false) => tracing::info!("scheduler goes on"),
            _ => {}
        }
        !is_stuck
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    struct World {
        store: watch::Sender<Health>,
        accepting: watch::Sender<bool>,
        heartbeat: Heartbeat,
        draining: CancellationToken,
        ready: watch::Receiver<bool>,
    }

    fn world() -> World {
        let (store, health) = watch::channel(Health::Writable);
        let (accepting, is_accepting) = watch::channel(true);
        let (ready, is_ready) = watch::channel(false);
        let world = World {
            store,
            accepting,
            heartbeat: Heartbeat::default(),
            draining: CancellationToken::new(),
            ready: is_ready,
        };
        let readiness = Readiness {
            store: health,
            accepting: is_accepting,
            heartbeat: world.heartbeat.clone(),
            draining: world.draining.clone(),
        };
        tokio::spawn(readiness.follow(ready));
        world
    }

    impl World {
        /// Whether it is ready after so many seconds, in which the scheduler
        /// goes on or does not.
        async fn is_ready_after(&self, seconds: u32, goes_on: bool) -> bool {
            for _ in 0..seconds {
                if goes_on {
                    self.heartbeat.beat();
                }
                sleep(Duration::from_secs(1)).await;
            }
            *self.ready.borrow()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_fault_ends_readiness_within_10_s_and_its_end_returns_it() {
        let world = world();
        assert!(world.is_ready_after(1, true).await);
        for fault in [Health::Full, Health::Unavailable] {
            world.store.send_replace(fault);
            assert!(!world.is_ready_after(1, true).await);
            world.store.send_replace(Health::Writable);
            assert!(world.is_ready_after(1, true).await);
        }
        world.accepting.send_replace(false);
        assert!(!world.is_ready_after(1, true).await);
        world.accepting.send_replace(true);
        assert!(world.is_ready_after(1, true).await);

        assert!(world.is_ready_after(3, false).await, "that may happen");
        assert!(!world.is_ready_after(6, false).await);
        assert!(world.is_ready_after(2, true).await);

        world.draining.cancel();
        assert!(!world.is_ready_after(1, true).await);
    }
}
