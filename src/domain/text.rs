//! Bounded maps of text: a subscription's labels, an event's attributes.

use std::collections::BTreeMap;

use super::Invalid;

const MAX_KEY: usize = 63;

/// Labels of a subscription: at most 64, values of at most 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(BTreeMap<String, String>);

/// Attributes of an event: at most 32, values of at most 1,024 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(BTreeMap<String, String>);

impl Labels {
    /// Checks the bounds.
    pub fn new(map: BTreeMap<String, String>) -> Result<Self, Invalid> {
        check(&map, 64, 256).map(|()| Self(map))
    }

    /// The labels, sorted by key.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl Attributes {
    /// Checks the bounds.
    pub fn new(map: BTreeMap<String, String>) -> Result<Self, Invalid> {
        check(&map, 32, 1_024).map(|()| Self(map))
    }

    /// The attributes, sorted by key.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

fn check(
    map: &BTreeMap<String, String>,
    max_entries: usize,
    max_value: usize,
) -> Result<(), Invalid> {
    if map.len() > max_entries {
        return Err(Invalid::new(format!(
            "must have at most {max_entries} entries, has {}",
            map.len()
        )));
    }
    for (key, value) in map {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Invalid::new(format!(
                "must have keys of 1 to {MAX_KEY} bytes; one has {}",
                key.len()
            )));
        }
        if value.len() > max_value {
            return Err(Invalid::new(format!(
                "must have values of at most {max_value} bytes; that of {key:?} has {}",
                value.len()
            )));
        }
    }
    Ok(())
}

/// Checks a text's length in bytes.
pub(super) fn at_most(text: &str, max: usize) -> Result<(), Invalid> {
    if text.len() <= max {
        Ok(())
    } else {
        Err(Invalid::new(format!(
            "must be at most {max} bytes, is {}",
            text.len()
        )))
    }
}
