//! The text of a condition on events.

use std::{fmt, str::FromStr, sync::Arc};

use super::{Invalid, text};

const MAX_LENGTH: usize = 4_096;

/// A CEL expression over `event`, as its owner wrote it: 1 to 4,096 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilterExpression(Arc<str>);

impl FilterExpression {
    /// The expression's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilterExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FilterExpression {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err(Invalid::new("must be an expression, not blank"));
        }
        text::at_most(text, MAX_LENGTH).map(|()| Self(Arc::from(text)))
    }
}
