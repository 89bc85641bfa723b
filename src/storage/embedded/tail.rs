//! The end of the log of attempts in memory, so that those who follow it read
//! nothing back.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::RwLock;

use crate::{domain::Attempt, storage::LogPosition};

const MAX_ATTEMPTS: usize = 4_096;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The latest attempts. Bounded by number and by size: the oldest give way, and
/// who wants them reads the store.
#[derive(Debug)]
pub(super) struct LogTail(RwLock<Ring>);

#[derive(Debug)]
struct Ring {
    /// Every attempt after this one is here.
    after: LogPosition,
    attempts: VecDeque<(LogPosition, Arc<Attempt>)>,
    bytes: usize,
}

impl LogTail {
    /// Nothing after this position yet.
    pub(super) fn new(after: LogPosition) -> Self {
        Self(RwLock::new(Ring {
            after,
            attempts: VecDeque::new(),
            bytes: 0,
        }))
    }

    /// Adds attempts, in order.
    pub(super) fn extend(&self, attempts: &[(LogPosition, Arc<Attempt>)]) {
        let mut ring = self.0.write();
        for (position, attempt) in attempts {
            ring.bytes += attempt.size();
            ring.attempts.push_back((*position, Arc::clone(attempt)));
        }
        while ring.attempts.len() > MAX_ATTEMPTS || ring.bytes > MAX_BYTES {
            let Some((position, attempt)) = ring.attempts.pop_front() else {
                break;
            };
            ring.after = position;
            ring.bytes -= attempt.size();
        }
    }

    /// Forgets everything: after this position nothing was there yet.
    pub(super) fn restart(&self, after: LogPosition) {
        *self.0.write() = Ring {
            after,
            attempts: VecDeque::new(),
            bytes: 0,
        };
    }

    /// Up to `limit` attempts after a position; `None` if some of them may no
    /// longer be here.
    pub(super) fn read(
        &self,
        after: LogPosition,
        limit: usize,
    ) -> Option<Vec<(LogPosition, Arc<Attempt>)>> {
        let ring = self.0.read();
        if after < ring.after {
            return None;
        }
        let first = ring
            .attempts
            .partition_point(|(position, _)| *position <= after);
        Some(ring.attempts.range(first..).take(limit).cloned().collect())
    }
}
