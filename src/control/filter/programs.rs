//! The filters that were compiled.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{Filter, Unanswered};
use crate::domain::FilterExpression;

/// Most filters that are kept. One more drops them all, and those in use are
/// compiled again.
const MAX_FILTERS: usize = 10_000;

/// A filter, or why it cannot be asked: what was accepted once may be refused
/// by a later version.
pub(in crate::control) type Program = Arc<Result<Filter, Unanswered>>;

/// Filters by their text, so that a change of one subscription does not compile
/// those of all others anew.
#[derive(Debug, Default)]
pub(in crate::control) struct Programs(Mutex<HashMap<FilterExpression, Program>>);

impl Programs {
    /// The program of an expression.
    pub(in crate::control) fn get(&self, expression: &FilterExpression) -> Program {
        if let Some(program) = self.0.lock().get(expression) {
            return program.clone();
        }
        let compiled = Filter::compile(expression);
        let compiled = compiled.map_err(|invalid| Unanswered(invalid.to_string()));
        let program = Arc::new(compiled);
        let mut programs = self.0.lock();
        if programs.len() >= MAX_FILTERS {
            programs.clear();
        }
        programs.insert(expression.clone(), program.clone());
        program
    }
}
