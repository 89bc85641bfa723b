//! What can be wrong with a configuration, and where.

use std::{fmt, path::PathBuf};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
    /// An environment variable.
    Environment(String),
    /// A line of the file.
    File(PathBuf, usize),
    /// Nobody set it.
    Default,
}

impl Source {
    /// Order in which problems are told: the file's by line, then the others.
    pub(super) fn rank(&self) -> (u8, usize) {
        match self {
            Self::File(_, line) => (0, *line),
            Self::Environment(_) => (1, 0),
            Self::Flag(_) => (2, 0),
            Self::Default => (3, 0),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path, line) => write!(f, "file {}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Everything that is wrong, each with its source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error(pub(super) Vec<String>);

/// One problem in the line of the error, several in lines of their own.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [problem] = self.0.as_slice() {
            return write!(f, "configuration: {problem}");
        }
        write!(f, "configuration has {} problems:", self.0.len())?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
