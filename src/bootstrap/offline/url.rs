//! How a store is named on the command line: `sled:PATH`, `fjall:PATH` or the
//! URL of a PostgreSQL database.

use std::{
    fmt, path,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    config::{EngineName, Storage},
    storage::{
        embedded::Adapter,
        postgres::{BadUrl, Url},
    },
};

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In a directory.
    Embedded {
        /// The engine that wrote it, or is to.
        adapter: Adapter,
        /// The data directory.
        dir: PathBuf,
    },
    /// In a database.
    Postgres(Box<Url>),
}

/// A text does not name a store. Does not repeat it, since it may hold a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadStoreUrl {
    /// It begins with no engine, or goes on without a place.
    #[error(
        "must be sled:PATH or fjall:PATH with the data directory, such as sled:./data, or \
         postgres://USER@HOST/DATABASE"
    )]
    Unknown,
    /// It is to name a database.
    #[error(transparent)]
    Database(#[from] BadUrl),
}

impl StoreUrl {
    /// The store that the configuration names.
    pub fn configured(storage: &Storage) -> Result<Self, BadUrl> {
        let adapter = match storage.engine {
            EngineName::Sled => Adapter::Sled,
            EngineName::Fjall => Adapter::Fjall,
            EngineName::Postgres => {
                return Ok(Self::Postgres(Box::new(storage.url.expose().parse()?)));
            }
        };
        Ok(Self::Embedded {
            adapter,
            dir: storage.data_dir.clone(),
        })
    }

    /// The same for the same store, from wherever it is named and by whomever.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Embedded { adapter, dir } => {
                format!("{}:{}", scheme(*adapter), absolute(dir).display())
            }
            Self::Postgres(_) => self.to_string(),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = BadStoreUrl;

    fn from_str(text: &str) -> Result<Self, BadStoreUrl> {
        let (scheme, rest) = text.split_once(':').ok_or(BadStoreUrl::Unknown)?;
        let adapter = match scheme {
            "sled" => Adapter::Sled,
            "fjall" => Adapter::Fjall,
            "postgres" | "postgresql" if rest.starts_with("//") => {
                return Ok(Self::Postgres(Box::new(text.parse()?)));
            }
            _ => return Err(BadStoreUrl::Unknown),
        };
        // `sled:///var/lib` is an absolute path, and `sled://var` a mistake.
        let path = match rest.strip_prefix("//") {
            Some(path) if path.starts_with('/') => path,
            Some(_) => return Err(BadStoreUrl::Unknown),
            None => rest,
        };
        if path.is_empty() {
            return Err(BadStoreUrl::Unknown);
        }
        Ok(Self::Embedded {
            adapter,
            dir: PathBuf::from(path),
        })
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { adapter, dir } => write!(f, "{}:{}", scheme(*adapter), dir.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

fn scheme(adapter: Adapter) -> &'static str {
    match adapter {
        Adapter::Sled => "sled",
        Adapter::Fjall => "fjall",
    }
}

/// With links resolved where the directory is there already.
fn absolute(dir: &Path) -> PathBuf {
    let resolved = dir.canonicalize().or_else(|_| path::absolute(dir));
    resolved.unwrap_or_else(|_| dir.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_an_engine_and_a_place() {
        let embedded = |adapter, dir: &str| StoreUrl::Embedded {
            adapter,
            dir: PathBuf::from(dir),
        };
        for (text, expected) in [
            ("sled:./data", embedded(Adapter::Sled, "./data")),
            ("fjall:/var/lib/p", embedded(Adapter::Fjall, "/var/lib/p")),
            ("sled:///var/lib/p", embedded(Adapter::Sled, "/var/lib/p")),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "data", "sled:", "sled://data", "sqlite:x", "postgres:x"] {
            assert_eq!(
                text.parse::<StoreUrl>(),
                Err(BadStoreUrl::Unknown),
                "{text}"
            );
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let url: StoreUrl = "postgres://me:hush@db/events?password=hush"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "postgres://db:5432/events");
        let refused = "postgres://me:hush@".parse::<StoreUrl>().unwrap_err();
        assert!(!refused.to_string().contains("hush"), "{refused}");
    }

    #[test]
    fn one_directory_has_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let name = |path: PathBuf| {
            let url = StoreUrl::Embedded {
                adapter: Adapter::Sled,
                dir: path,
            };
            url.name()
        };
        let detour = dir.path().join("..").join(dir.path().file_name().unwrap());
        assert_eq!(name(detour), name(dir.path().to_owned()));
    }
}
