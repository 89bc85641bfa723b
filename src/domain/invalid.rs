//! What is wrong with a value from outside, and in which field it stood.

use std::fmt;

/// Says what is wrong with a value and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(String);

impl Invalid {
    /// Wraps a sentence such as "must be 1 to 128 bytes, is 200".
    pub fn new(description: impl Into<String>) -> Self {
        Self(description.into())
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// One wrong field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field from the request, such as `event.type`.
    pub field: String,
    /// What is wrong and what would be right.
    pub description: String,
}

/// Collects every wrong field of a request, so that all are told at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Adds one wrong field.
    pub fn add(&mut self, field: impl Into<String>, description: impl fmt::Display) {
        self.0.push(Violation {
            field: field.into(),
            description: description.to_string(),
        });
    }

    /// Takes the value, or notes why there is none.
    pub fn check<T, E: fmt::Display>(
        &mut self,
        field: impl Into<String>,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(field, error)).ok()
    }

    /// Returns what `make` makes of the parsed values if nothing was wrong.
    ///
    /// `make` returns `None` only where a value is missing whose violation was
    /// noted.
    pub fn finish<T>(self, make: impl FnOnce() -> Option<T>) -> Result<T, Vec<Violation>> {
        if !self.0.is_empty() {
            return Err(self.0);
        }
        make().ok_or_else(|| {
            vec![Violation {
                field: String::new(),
                description: "request is incomplete".to_owned(),
            }]
        })
    }

    /// Whether nothing was wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that was wrong.
    pub fn into_inner(self) -> Vec<Violation> {
        self.0
    }
}
