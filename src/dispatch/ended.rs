//! What attempts come to, for who plans the next ones.

use crate::{domain::Timestamp, storage::DueKey};

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was made.
    Made {
        succeeded: bool,
        /// When the delivery is due again.
        due: Option<Timestamp>,
    },
    /// Nothing was due any more.
    Settled,
    /// The delivery was not due before this time.
    DueAt(Timestamp),
    /// This one has to be settled before.
    Behind(DueKey),
    /// The store failed: the delivery is due as it was.
    Unchanged,
}
