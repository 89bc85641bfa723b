//! The keys that access stands on: those that are configured, and files beside
//! an embedded store where none is. No key is ever logged.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use anyhow::{Context, Result, bail};

use super::{SystemClock, SystemRandom};
use crate::{
    config::{AuthMode, Config, EngineName, Secrets},
    control::{AccessSettings, Control},
    domain::{
        ApiKeyId, ApiKeySpec, Clock, Grant, Holder, Invalid, KeyHasher, KeyText, Keyring, Random,
        RootKey, RootKeys, Scopes,
    },
};

/// Names of the files in the directory of an embedded store.
const ADMIN_KEY: &str = "admin.key";
const ROOT_KEY: &str = "secrets.key";

const NO_KEY: &str = "storage.engine is \"postgres\", which needs secrets.key, the same for every \
    process that shares the database; `openssl rand -base64 32` makes one, and \
    POSTRIDER_SECRETS_KEY sets it";

/// The keys that are configured.
pub(super) struct Configured {
    root: RootKeys,
    admin: Option<KeyText>,
}

/// Reads the keys that are configured. Makes the key of an embedded store that
/// has none; a database has to have one.
pub(super) fn configured(config: &Config) -> Result<Configured> {
    let auth = &config.auth;
    let admin = match &auth.admin_key_file {
        Some(path) => Some(read(path).context("auth.admin_key_file")?),
        None => auth.admin_key.clone(),
    };
    let root = match (root_keys(&config.secrets)?, beside(config)) {
        (Some(root), _) => root,
        (None, Some(dir)) => root_of(dir)?,
        (None, None) => bail!(NO_KEY),
    };
    Ok(Configured { root, admin })
}

/// The root keys that are configured, if some are.
pub(super) fn root_keys(secrets: &Secrets) -> Result<Option<RootKeys>> {
    match &secrets.key_file {
        Some(path) => read(path).map(Some).context("secrets.key_file"),
        None => Ok(secrets.key.clone()),
    }
}

impl Configured {
    /// What secrets are sealed by.
    pub(super) fn keyring(&self) -> Keyring {
        Keyring::new(&self.root.newest, &self.root.older)
    }
}

/// How callers are known to the store that was opened.
pub(super) fn settings(config: &Config, configured: Configured) -> AccessSettings {
    AccessSettings {
        keys_needed: config.auth.mode == AuthMode::Keys,
        hasher: KeyHasher::new(&configured.root),
        admin: configured.admin,
        certificates: config.auth.certificates.clone(),
    }
}

/// Sees to it that somebody can call: a store gets a first key for all tenants,
/// unless it has one or one is configured.
pub(super) async fn begin(config: &Config, control: &Control) -> Result<()> {
    let auth = &config.auth;
    let configured = auth.admin_key.is_some()
        || auth.admin_key_file.is_some()
        || auth.certificates.iter().any(Grant::is_for_operator);
    if auth.mode == AuthMode::None || configured || control.has_operator().await? {
        return Ok(());
    }
    let Some(dir) = beside(config) else {
        tracing::warn!(
            "nobody can call, as there is no key: `postrider admin-key` makes one, and \
             POSTRIDER_AUTH_ADMIN_KEY sets it"
        );
        return Ok(());
    };
    let (key, text) = control.make_key(ApiKeySpec {
        holder: Holder::Operator,
        scopes: Scopes::ALL,
        description: "made when the store was first served".to_owned(),
        expire_time: None,
    });
    // The file comes first: a key that nobody has would keep all others out.
    let path = dir.join(ADMIN_KEY);
    write(&path, text.expose()).with_context(|| format!("cannot write {}", path.display()))?;
    control.put_key(&key).await?;
    tracing::info!(
        path = %path.display(),
        key = %key.id,
        "made a first API key, for all tenants: it is in this file"
    );
    Ok(())
}

/// A new key for `auth.admin_key`.
pub fn new_admin_key() -> String {
    let random = SystemRandom;
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    let id = ApiKeyId::new(SystemClock.now(), random.bits());
    KeyText::generate(id, bytes).expose().to_owned()
}

/// The key that was made for an embedded store when it was first served.
pub fn first_admin_key(config: &Config) -> Result<String> {
    let Some(dir) = beside(config) else {
        bail!("a database has no such file: its first key is the one that is configured");
    };
    let key = read::<KeyText>(&dir.join(ADMIN_KEY))?;
    Ok(key.expose().to_owned())
}

/// The directory of an embedded store.
fn beside(config: &Config) -> Option<&Path> {
    match config.storage.engine {
        EngineName::Sled | EngineName::Fjall => Some(&config.storage.data_dir),
        EngineName::Postgres => None,
    }
}

/// The root keys in the directory of an embedded store, which are made if it has
/// none.
fn root_of(dir: &Path) -> Result<RootKeys> {
    if let Some(kept) = kept_in(dir)? {
        return Ok(kept);
    }
    let mut bytes = [0; 32];
    SystemRandom.fill(&mut bytes);
    let made = RootKeys {
        newest: RootKey::generate(bytes),
        older: Vec::new(),
    };
    keep_in(dir, &made).context("storage.data_dir cannot be used")?;
    tracing::info!(
        path = %dir.join(ROOT_KEY).display(),
        "made a key for the secrets of the store: keep the file with it"
    );
    Ok(made)
}

/// The root keys in the directory of an embedded store, if it has some.
pub(super) fn kept_in(dir: &Path) -> Result<Option<RootKeys>> {
    let path = dir.join(ROOT_KEY);
    path.exists().then(|| read(&path)).transpose()
}

/// Keeps root keys in the directory of an embedded store.
pub(super) fn keep_in(dir: &Path, keys: &RootKeys) -> Result<()> {
    let path = dir.join(ROOT_KEY);
    let cannot_write = || format!("cannot write {}", path.display());
    let lines: Vec<_> = keys.all().map(RootKey::expose).collect();
    let mut own = fs::DirBuilder::new();
    let made = own.recursive(true).mode(0o700).create(dir);
    made.with_context(cannot_write)?;
    write(&path, &lines.join("\n")).with_context(cannot_write)
}

/// The key in a file.
fn read<T: std::str::FromStr<Err = Invalid>>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let key = text.trim().parse::<T>();
    key.map_err(|invalid| anyhow::anyhow!("what is in {} {invalid}", path.display()))
}

/// Writes a file that nobody else can read, aside and renamed, so that a crash
/// leaves all of it or nothing.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let aside = path.with_extension("key.new");
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_of_a_store_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        // A crash may have left this.
        fs::write(dir.path().join("secrets.key.new"), "half").unwrap();
        let made = root_of(dir.path()).unwrap();
        assert_eq!(root_of(dir.path()).unwrap(), made);
        let path = dir.path().join(ROOT_KEY);
        let permissions = fs::metadata(&path).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
        fs::write(&path, "broken").unwrap();
        let refused = root_of(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("secrets.key must be"), "{refused}");
        assert!(!refused.contains("broken"), "{refused}");
    }
}
