//! The dispatcher's bounds.

use crate::domain::DisableAfter;

/// What a subscription keeps in memory if memory is short.
const MIN_WINDOW: usize = 16;
/// Of how many windows deliveries are held back for their order at least.
const HELD_BACK: usize = 4;

/// How much may be under way or held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Attempts under way at once; a tenant leaves an eighth to others, and a
    /// subscription gets at most two thirds of what its tenant may start.
    pub max_in_flight: usize,
    /// Waiting deliveries of one subscription held in memory.
    pub window: usize,
    /// Waiting deliveries held in memory in all. Above it each subscription
    /// keeps only a few.
    pub max_waiting: usize,
    /// Bytes of payloads held in memory for waiting deliveries. Above it they
    /// are read back from the store.
    pub max_waiting_bytes: usize,
    /// How long nothing but failures disables a subscription; `None` is never.
    pub disable_after: Option<DisableAfter>,
}

impl Settings {
    /// How many deliveries a window may hold beside so many in the others.
    pub(super) fn window_beside(&self, others: usize) -> usize {
        let room = self.max_waiting.saturating_sub(others);
        room.min(self.window).max(MIN_WINDOW)
    }

    /// How many deliveries an ordered subscription may hold back beside so many
    /// that others have in memory.
    pub(super) fn held_back(&self, others: usize) -> usize {
        let room = (self.max_waiting / 2).saturating_sub(others);
        room.max(self.window * HELD_BACK)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_in_flight: 1_024,
            window: 1_024,
            max_waiting: 256 * 1_024,
            max_waiting_bytes: 64 * 1024 * 1024,
            disable_after: Some(DisableAfter::default()),
        }
    }
}
