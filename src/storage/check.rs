//! What a check of a store comes to, of whatever engine.

use super::Totals;

/// Something in a store that should not be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: a directory or a table.
    pub place: String,
    /// What is wrong, with ids and without a word of any payload.
    pub what: String,
}

/// Is told of each finding.
pub type Found = Box<dyn FnMut(Finding) + Send>;

/// What was looked at, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Rows that were read, sound or not.
    pub totals: Totals,
    /// Days that were read.
    pub days: u64,
    /// How many findings there were.
    pub findings: u64,
}
