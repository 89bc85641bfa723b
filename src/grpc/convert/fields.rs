//! Notes what is wrong with the fields of a request, by their paths.

use std::{fmt::Display, str::FromStr};

use crate::{
    control::Error,
    domain::{Invalid, Violations},
};

/// The fields of a message within a request.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Path of the message, such as `event.`; empty for the request itself.
    path: String,
    violations: Violations,
}

impl Fields {
    /// The fields of the message at this path, such as `event.`.
    pub(super) fn at(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            violations: Violations::default(),
        }
    }

    /// Goes on with the message at another path of the same request.
    pub(super) fn go_to(&mut self, path: impl Into<String>) {
        self.path = path.into();
    }

    /// Notes that a field is wrong.
    pub(super) fn add(&mut self, field: impl Display, description: impl Display) {
        self.violations
            .add(format!("{}{field}", self.path), description);
    }

    /// Takes the value, or notes why there is none.
    pub(super) fn check<T, E: Display>(
        &mut self,
        field: impl Display,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(field, error)).ok()
    }

    /// Parses a text.
    pub(super) fn parse<T: FromStr<Err = Invalid>>(
        &mut self,
        field: impl Display,
        text: &str,
    ) -> Option<T> {
        self.check(field, text.parse())
    }

    /// Parses a text that may be empty, which is `None`.
    pub(super) fn parse_optional<T: FromStr<Err = Invalid>>(
        &mut self,
        field: impl Display,
        text: &str,
    ) -> Option<T> {
        (!text.is_empty()).then(|| self.parse(field, text))?
    }

    /// Parses each of the texts, named as `field[n]`.
    pub(super) fn parse_each<T: FromStr<Err = Invalid>>(
        &mut self,
        field: &str,
        texts: &[String],
    ) -> Vec<T> {
        let parsed = texts.iter().enumerate();
        parsed
            .filter_map(|(n, text)| self.parse(format_args!("{field}[{n}]"), text))
            .collect()
    }

    /// Where violations are noted by others.
    pub(super) fn violations(&mut self) -> &mut Violations {
        &mut self.violations
    }

    /// What `make` makes of the parsed values, if nothing was wrong.
    pub(super) fn finish<T>(self, make: impl FnOnce() -> Option<T>) -> Result<T, Error> {
        self.violations.finish(make).map_err(Error::Invalid)
    }
}
