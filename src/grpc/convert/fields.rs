//! Notes what is wrong with the fields of a request, by their paths.

use std::{fmt::Display, str::FromStr};

use crate::{
    control::Error,
    domain::{Invalid, Violations},
};

/// Most values of a repeated field.
const MAX_VALUES: usize = 100;

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
        self.check_each(field, texts, |text| text.parse())
    }

    /// Takes each of the values, named as `field[n]`. None is looked at if they
    /// are too many.
    pub(super) fn check_each<'a, A, T, E: Display>(
        &mut self,
        field: &str,
        values: &'a [A],
        check: impl Fn(&'a A) -> Result<T, E>,
    ) -> Vec<T> {
        if values.len() > MAX_VALUES {
            let wrong = format_args!("must be at most {MAX_VALUES} values, are {}", values.len());
            self.add(field, wrong);
            return Vec::new();
        }
        let values = values.iter().enumerate();
        values
            .filter_map(|(n, value)| self.check(format_args!("{field}[{n}]"), check(value)))
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
