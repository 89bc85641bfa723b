//! Filters: conditions in CEL that events must meet beyond their type.
//!
//! A filter is other people's code on the way of every event, so it may take
//! neither long nor much. The crate `cel` parses it; what it may hold is checked
//! and turned into a program here, and the program is evaluated here, each step
//! counted and nothing copied (docs/adr/0009).

mod check;
mod evaluate;
mod program;
mod programs;
mod read;
mod subject;
#[cfg(test)]
mod tests;
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) use self::programs::{Program, Programs};
pub use self::subject::Subject;
use self::{evaluate::Evaluation, program::Node};
use crate::domain::{FilterExpression, Invalid};

/// A filter that was checked.
#[derive(Debug)]
pub struct Filter(Node);

/// Why an evaluation has no answer. It counts as no match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(String);

impl Filter {
    /// Reads and checks an expression; an error tells the line and the column.
    pub fn compile(expression: &FilterExpression) -> Result<Self, Invalid> {
        read::with_room(expression, check::program).map(Self)
    }

    /// Whether the event meets the condition.
    pub fn matches(&self, subject: &Subject<'_>) -> Result<bool, Unanswered> {
        self.weigh(subject).0
    }

    /// Whether the event meets the condition, and the steps that it took to say.
    pub fn weigh(&self, subject: &Subject<'_>) -> (Result<bool, Unanswered>, usize) {
        let mut evaluation = Evaluation::of(subject);
        let evaluate = || evaluation.answer(&self.0);
        let answer = catch_unwind(AssertUnwindSafe(evaluate))
            .unwrap_or_else(|_| Err(Unanswered("the filter cannot be evaluated".to_owned())));
        (answer, evaluation.spent())
    }
}
