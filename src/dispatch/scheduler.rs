//! The loop that owns the schedule: it takes in hints, changes and reports,
//! and spawns the attempts and reads that the schedule names.
//!
//! The store puts the hint of a commit in the feed before it answers any write
//! of it. So hints are always drained before reports are taken in, and no
//! delivery is heard of first by its own result.

use std::{sync::Arc, time::Duration};

use tokio::sync::{
    broadcast::{
        self,
        error::{RecvError, TryRecvError},
    },
    mpsc, watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use super::{
    Endpoint, Heartbeat, Settings,
    attempt::Attempts,
    breaker::Change,
    ended::Ended,
    fetch::{Fetch, FetchOutcome, Fetched, MAX_FETCHES},
    reads,
    schedule::{Schedule, Start},
};
use crate::{
    domain::{BreakerChange, DeliveryId, SubscriptionId},
    storage::{self, Due, Hint, SubscriptionChange},
};

/// Longest sleep, so that a clock that was set is noticed.
const MAX_SLEEP: Duration = Duration::from_secs(1);
/// Pause before the store is asked again after it failed.
const PAUSE: Duration = Duration::from_millis(250);
/// Subscriptions read by one step of a scan.
const SCAN_PAGE: usize = 512;
/// Reports taken in at once.
const BATCH: usize = 256;

/// What a spawned piece of work reports when it ends.
enum Report {
    Attempt(SubscriptionId, DeliveryId, Ended),
    Fetch(Fetched),
    /// The next part of the scan with this number.
    Scan(u64, storage::Result<Vec<Due>>),
}

/// What ends a sleep.
enum News {
    Hint(Result<Arc<Hint>, RecvError>),
    Change(Result<SubscriptionChange, RecvError>),
    Ownership(Result<(), watch::error::RecvError>),
    /// Reports, or the time.
    Other,
}

pub(super) struct Scheduler {
    schedule: Schedule,
    attempts: Arc<Attempts>,
    hints: broadcast::Receiver<Arc<Hint>>,
    changes: broadcast::Receiver<SubscriptionChange>,
    ownership: watch::Receiver<u64>,
    breakers: broadcast::Sender<BreakerChange>,
    heartbeat: Heartbeat,
    report: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    spawned: TaskTracker,
    /// Ends the loop.
    soft: CancellationToken,
    /// Ends what was spawned.
    hard: CancellationToken,
    /// Counts the scans that were asked for; what earlier ones found is void.
    scan: u64,
    /// Whether one is under way; there is never a second.
    scanning: bool,
}

impl Scheduler {
    /// Listens to the store's feeds from now on.
    pub(super) fn new(
        attempts: Attempts,
        settings: Settings,
        breakers: broadcast::Sender<BreakerChange>,
        heartbeat: Heartbeat,
        spawned: TaskTracker,
        hard: CancellationToken,
    ) -> Self {
        // One place for each attempt and read that can be under way, and one
        // for the scan: no report ever waits.
        let (report, reports) = mpsc::channel(settings.max_in_flight + MAX_FETCHES + 1);
        let store = Arc::clone(&attempts.store);
        let owns = Box::new(move |id| store.owns(id));
        Self {
            schedule: Schedule::new(settings, owns),
            hints: attempts.store.hints(),
            changes: attempts.store.subscription_changes(),
            ownership: attempts.store.ownership(),
            breakers,
            heartbeat,
            soft: attempts.soft.clone(),
            attempts: Arc::new(attempts),
            report,
            reports,
            spawned,
            hard,
            scan: 0,
            scanning: false,
        }
    }

    /// Runs until the soft token is cancelled, which it is in any case when
    /// this ends.
    pub(super) async fn run(mut self) {
        let soft = self.soft.clone();
        let _ended = soft.clone().drop_guard();
        let mut batch = Vec::with_capacity(BATCH);
        self.rescan();
        self.schedule.advance(self.attempts.clock.now());
        loop {
            self.heartbeat.beat();
            while let Some(start) = self.schedule.next_start() {
                self.start(start);
            }
            while let Some(fetch) = self.schedule.next_fetch() {
                self.fetch(fetch);
            }
            let sleep = self.sleep();
            let news = tokio::select! {
                biased;
                () = soft.cancelled() => return,
                hint = self.hints.recv() => News::Hint(hint),
                _ = self.reports.recv_many(&mut batch, BATCH) => News::Other,
                change = self.changes.recv() => News::Change(change),
                changed = self.ownership.changed() => News::Ownership(changed),
                () = tokio::time::sleep(sleep) => News::Other,
            };
            // What came while it slept came now, not when it fell asleep.
            self.schedule.advance(self.attempts.clock.now());
            match news {
                News::Hint(Ok(hint)) => self.hint(&hint),
                News::Hint(Err(RecvError::Lagged(lost))) => self.feed_lost("hints", lost),
                News::Change(Ok(change)) => self.change(change),
                News::Change(Err(RecvError::Lagged(lost))) => self.feed_lost("changes", lost),
                News::Ownership(Ok(())) => self.own(),
                News::Hint(Err(RecvError::Closed))
                | News::Change(Err(RecvError::Closed))
                | News::Ownership(Err(_)) => return info!("store closed, nothing more is sent"),
                News::Other => {}
            }
            self.drain_feeds();
            for report in batch.drain(..) {
                self.take_in(report);
            }
        }
    }

    fn sleep(&self) -> Duration {
        let now = self.attempts.clock.now();
        let next = self.schedule.next_time();
        next.map_or(MAX_SLEEP, |time| time.since(now).min(MAX_SLEEP))
    }

    fn drain_feeds(&mut self) {
        loop {
            match self.hints.try_recv() {
                Ok(hint) => self.hint(&hint),
                Err(TryRecvError::Lagged(lost)) => self.feed_lost("hints", lost),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        loop {
            match self.changes.try_recv() {
                Ok(change) => self.change(change),
                Err(TryRecvError::Lagged(lost)) => self.feed_lost("changes", lost),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
    }

    fn hint(&mut self, hint: &Hint) {
        for fresh in &hint.accepted {
            self.schedule.accepted(fresh);
        }
        for change in &hint.rescheduled {
            self.schedule.rescheduled(change);
        }
        for due in &hint.woken {
            self.schedule.woken(due);
        }
    }

    fn own(&mut self) {
        self.schedule.own();
        self.rescan();
    }

    fn change(&mut self, change: SubscriptionChange) {
        if let Some(now) = change.now {
            self.schedule.changed(Arc::new(Endpoint::new(now)));
        } else {
            self.schedule.deleted(change.id);
            // Whoever owns the queue now or later does the same.
            if self.attempts.store.owns(change.id) {
                self.cancel_pending(change.id);
            }
        }
    }

    fn feed_lost(&mut self, feed: &str, lost: u64) {
        warn!(feed, lost, "lost part of a feed, reading the queues anew");
        self.schedule.forget();
        self.rescan();
    }

    fn take_in(&mut self, report: Report) {
        match report {
            Report::Attempt(subscription, delivery, ended) => {
                if let Some(change) = self.schedule.ended(subscription, delivery, ended) {
                    self.tell(subscription, change);
                }
            }
            Report::Fetch(fetched) => {
                if fetched.outcome == FetchOutcome::Deleted {
                    self.cancel_pending(fetched.subscription);
                }
                self.schedule.fetched(fetched);
            }
            Report::Scan(scan, _) if scan != self.scan => self.scan_on(None, Duration::ZERO),
            Report::Scan(_, Ok(found)) => {
                for due in &found {
                    self.schedule.found(due.subscription_id);
                }
                if let Some(last) = found.last() {
                    self.scan_on(Some(last.subscription_id), Duration::ZERO);
                } else {
                    self.scanning = false;
                    self.schedule.scanned();
                }
            }
            Report::Scan(_, Err(error)) => {
                if !reads::is_told(&error) {
                    error!(%error, "could not read which subscriptions have deliveries due");
                }
                self.scan_on(None, PAUSE);
            }
        }
    }

    fn tell(&self, subscription: SubscriptionId, change: Change) {
        match change {
            Change::Opened => warn!(%subscription, "breaker opened, too many attempts fail"),
            Change::Closed => info!(%subscription, "breaker closed, an attempt succeeded"),
        }
        // Nobody has to listen.
        let _ = self.breakers.send(BreakerChange {
            subscription_id: subscription,
            is_open: change == Change::Opened,
            time: self.attempts.clock.now(),
        });
    }

    fn start(&self, start: Start) {
        let attempts = Arc::clone(&self.attempts);
        let hard = self.hard.clone();
        let flight = Flight {
            report: self.report.clone(),
            subscription: start.endpoint.subscription().id,
            delivery: start.key.delivery_id,
            ended: None,
        };
        self.spawned.spawn(async move {
            let mut flight = flight;
            flight.ended = hard.run_until_cancelled(attempts.make(start)).await;
        });
    }

    fn fetch(&self, fetch: Fetch) {
        let attempts = Arc::clone(&self.attempts);
        self.spawn(async move { Report::Fetch(reads::fetch(&*attempts.store, fetch).await) });
    }

    /// Begins to look for subscriptions that have deliveries waiting.
    fn rescan(&mut self) {
        self.scan += 1;
        if !std::mem::replace(&mut self.scanning, true) {
            self.scan_on(None, Duration::ZERO);
        }
    }

    fn scan_on(&self, after: Option<SubscriptionId>, pause: Duration) {
        let attempts = Arc::clone(&self.attempts);
        let scan = self.scan;
        self.spawn(async move {
            tokio::time::sleep(pause).await;
            Report::Scan(
                scan,
                attempts.store.due_subscriptions(after, SCAN_PAGE).await,
            )
        });
    }

    fn cancel_pending(&self, subscription: SubscriptionId) {
        let attempts = Arc::clone(&self.attempts);
        let soft = self.soft.clone();
        self.spawned.spawn(async move {
            soft.run_until_cancelled(reads::cancel_pending(&attempts, subscription))
                .await;
        });
    }

    /// Spawns work that ends with the loop.
    fn spawn(&self, work: impl Future<Output = Report> + Send + 'static) {
        let report = self.report.clone();
        let soft = self.soft.clone();
        self.spawned.spawn(async move {
            if let Some(done) = soft.run_until_cancelled(work).await {
                // Nobody listens any more only once the loop has ended.
                let _ = report.send(done).await;
            }
        });
    }
}

/// Reports the end of an attempt, even of one that panicked.
struct Flight {
    report: mpsc::Sender<Report>,
    subscription: SubscriptionId,
    delivery: DeliveryId,
    ended: Option<Ended>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let ended = self.ended.unwrap_or(Ended::Unchanged);
        let report = Report::Attempt(self.subscription, self.delivery, ended);
        // There is a place for each attempt; it fails only if nobody listens.
        let _ = self.report.try_send(report);
    }
}
