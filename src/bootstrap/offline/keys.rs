//! The root keys of a store that nobody serves.

use anyhow::{Result, bail};

use super::StoreUrl;
use crate::{bootstrap::access, config::Secrets, domain::RootKeys};

/// The keys that are configured, or those in the directory of an embedded store.
pub(super) fn of(url: &StoreUrl, secrets: &Secrets) -> Result<RootKeys> {
    if let Some(keys) = access::root_keys(secrets)? {
        return Ok(keys);
    }
    match url {
        StoreUrl::Embedded { dir, .. } => match access::kept_in(dir)? {
            Some(keys) => Ok(keys),
            None if !dir.exists() => bail!("there is no store in {}", dir.display()),
            None => bail!(
                "{url} has no secrets.key in its directory; set the key that it was served with \
                 by POSTRIDER_SECRETS_KEY"
            ),
        },
        StoreUrl::Postgres(_) => {
            bail!("{url} needs the key that it is served with, by POSTRIDER_SECRETS_KEY")
        }
    }
}

/// The keys of a store that is copied into. A directory without any gets those of
/// the source, so that its API keys go on working.
pub(super) fn of_copy(url: &StoreUrl, secrets: &Secrets, source: &RootKeys) -> Result<RootKeys> {
    let configured = access::root_keys(secrets)?;
    match (configured, url) {
        (Some(keys), _) => Ok(keys),
        (None, StoreUrl::Postgres(_)) => Ok(source.clone()),
        (None, StoreUrl::Embedded { dir, .. }) => {
            if let Some(keys) = access::kept_in(dir)? {
                return Ok(keys);
            }
            access::keep_in(dir, source)?;
            Ok(source.clone())
        }
    }
}
