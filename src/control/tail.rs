//! Tails: the log of attempts as it grows.
//!
//! A tail pulls. It reads the log from where its reader stands, so a slow
//! reader costs nobody anything, and what was written while it was away is read
//! like the rest. `log_end` only tells it when to look.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Control, Error, Result};
use crate::{
    domain::{Attempt, DeliveryFilter, TenantId, Timestamp},
    storage::{Engine, LogPosition, LogSlice, Token},
};

/// Attempts that are read at once.
const SLICE: usize = 256;

/// Where a tail begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailStart {
    /// With the next attempt.
    Now,
    /// With the first attempt recorded at or after the time.
    At(Timestamp),
    /// After the item that carried this token.
    After(String),
}

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct TailRequest {
    /// Which attempts.
    pub filter: DeliveryFilter,
    /// Where to begin.
    pub start: TailStart,
    /// Pause after which a heartbeat comes.
    pub heartbeat: Duration,
}

/// What a tail tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailItem {
    /// An attempt.
    Attempt(Arc<Attempt>),
    /// Nothing new.
    Heartbeat(Timestamp),
    /// Attempts of events accepted before the time are gone.
    Skipped(Timestamp),
    /// The last item: the server is going away.
    Closing,
}

/// An item, and the token that goes on after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailStep {
    /// The item.
    pub item: TailItem,
    /// The token.
    pub resume_token: String,
}

impl Control {
    /// Streams attempts until the reader goes or the server drains.
    pub async fn tail(
        &self,
        tenant: &TenantId,
        request: TailRequest,
        draining: CancellationToken,
    ) -> Result<impl Stream<Item = Result<TailStep>> + Send + use<>> {
        let log_end = self.store.log_end();
        let from = match &request.start {
            TailStart::Now => *log_end.borrow(),
            TailStart::At(time) => self.store.position_before(*time).await?,
            TailStart::After(token) => position_of(tenant, token)?,
        };
        let tail = Tail {
            store: self.store.clone(),
            clock: self.clock.clone(),
            tenant: tenant.clone(),
            filter: request.filter,
            heartbeat: request.heartbeat,
            draining,
            log_end,
            read: from,
            told: from,
            waiting: VecDeque::new(),
            removed_before: None,
            quiet_since: Instant::now(),
            ended: false,
        };
        Ok(stream::unfold(tail, |mut tail| async {
            let step = tail.step().await?;
            Some((step, tail))
        }))
    }
}

fn token(tenant: &TenantId, position: LogPosition) -> String {
    Token::seal(&("tail", tenant), &position.0.to_be_bytes())
}

fn position_of(tenant: &TenantId, token: &str) -> Result<LogPosition> {
    let invalid = |error| Error::invalid("resume_token", error);
    let bytes = Token::open(&("tail", tenant), token).map_err(invalid)?;
    let bytes = bytes
        .try_into()
        .map_err(|_| invalid(crate::storage::BadToken))?;
    Ok(LogPosition(u64::from_be_bytes(bytes)))
}

struct Tail {
    store: Arc<dyn Engine>,
    clock: Arc<dyn crate::domain::Clock>,
    tenant: TenantId,
    filter: DeliveryFilter,
    heartbeat: Duration,
    draining: CancellationToken,
    log_end: watch::Receiver<LogPosition>,
    /// The log was read up to here.
    read: LogPosition,
    /// The reader was told everything up to here.
    told: LogPosition,
    /// What was read and not told yet.
    waiting: VecDeque<(LogPosition, Arc<Attempt>)>,
    removed_before: Option<Timestamp>,
    quiet_since: Instant,
    ended: bool,
}

impl Tail {
    /// The next item; `None` after the last.
    async fn step(&mut self) -> Option<Result<TailStep>> {
        if self.ended {
            return None;
        }
        let item = match self.item().await {
            Ok(item) => item,
            Err(error) => {
                self.ended = true;
                return Some(Err(error));
            }
        };
        self.ended = item == TailItem::Closing;
        self.quiet_since = Instant::now();
        Some(Ok(TailStep {
            item,
            resume_token: token(&self.tenant, self.told),
        }))
    }

    async fn item(&mut self) -> Result<TailItem> {
        loop {
            if self.draining.is_cancelled() {
                return Ok(TailItem::Closing);
            }
            if let Some((position, attempt)) = self.waiting.pop_front() {
                self.told = position;
                return Ok(TailItem::Attempt(attempt));
            }
            self.told = self.read;
            let heartbeat_at = self.quiet_since + self.heartbeat;
            if Instant::now() >= heartbeat_at {
                return Ok(TailItem::Heartbeat(self.clock.now()));
            }
            self.log_end.mark_unchanged();
            let slice = self.store.read_log(self.read, SLICE).await?;
            let grew = !slice.attempts.is_empty();
            if let Some(before) = self.take(slice) {
                return Ok(TailItem::Skipped(before));
            }
            if grew {
                continue;
            }
            tokio::select! {
                () = self.draining.cancelled() => {}
                changed = self.log_end.changed() => changed.map_err(|_| Error::Unavailable)?,
                () = tokio::time::sleep_until(heartbeat_at) => {}
            }
        }
    }

    /// Takes up what was read. Returns what the reader has to be told first.
    fn take(&mut self, slice: LogSlice) -> Option<Timestamp> {
        if let Some((last, _)) = slice.attempts.last() {
            self.read = *last;
        }
        let shown = slice.attempts.into_iter().filter(|(_, attempt)| {
            attempt.tenant == self.tenant && self.filter.shows_attempt(attempt)
        });
        self.waiting.extend(shown);
        let news = slice.removed_before > self.removed_before;
        self.removed_before = slice.removed_before.max(self.removed_before);
        slice.removed_before.filter(|_| news)
    }
}
