//! Walks through everything of a store and tells what should not be so. Opens
//! partition by partition, past all that an open store relies on, so that one
//! that is damaged keeps nobody from the rest. Reads only, but for what a
//! database does when it is opened.

mod catalog;
mod day;

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use self::{catalog::Notes, day::DayAudit};
use super::{
    day::Days,
    dir::{DataDir, OpenError},
    fjall::FjallPartition,
    folder::{Database, Folder},
    kv::{Partition, Space},
    open::{Adapter, CATALOG, Settings},
    sled::SledPartition,
};
use crate::{
    domain::{Keyring, SealId},
    storage::{Checked, Error, Finding, Found},
};

/// Checks the store in a directory. Fails only if there is none, or if it is in
/// use.
pub async fn check(settings: Settings, found: Found) -> Result<Checked, OpenError> {
    let dir = settings.dir.clone();
    let checking = tokio::task::spawn_blocking(move || match settings.adapter {
        Adapter::Sled => check_in::<SledPartition>(settings, found),
        Adapter::Fjall => check_in::<FjallPartition>(settings, found),
    });
    let checked = checking.await;
    checked.unwrap_or_else(|panic| Err(OpenError::corrupt(&dir, &panic)))
}

fn check_in<D: Database>(settings: Settings, found: Found) -> Result<Checked, OpenError> {
    DataDir::expect(&settings.dir)?;
    let dir = DataDir::take(settings.dir, settings.adapter.name())?;
    let folder =
        |dir: PathBuf| Folder::<D>::new(dir.clone()).map_err(|error| OpenError::io(&dir, error));
    let root = folder(dir.path().to_owned())?;
    let days = Box::new(folder(dir.days())?);
    let report = Report::new(settings.keyring, found);
    Ok(audit(dir.path(), &root, days, settings.cache_bytes, report))
}

/// Checks all partitions below a directory.
pub(super) fn audit(
    dir: &Path,
    root: &dyn Space,
    days: Box<dyn Space>,
    cache_bytes: u64,
    mut report: Report,
) -> Checked {
    report.enter(dir.join(CATALOG));
    let catalog = open_catalog(root, cache_bytes);
    let read = catalog.and_then(|catalog| Notes::read(&*catalog, &mut report));
    let notes = read.unwrap_or_else(|error| {
        report.failed(&error);
        Notes::default()
    });
    let folder = dir.join("days");
    report.enter(folder.clone());
    match Days::find(days, cache_bytes) {
        Ok(days) => audit_days(&folder, &days, &notes, &mut report),
        Err(error) => report.failed(&super::day::from_kv(error)),
    }
    report.checked
}

fn audit_days(folder: &Path, days: &Days, notes: &Notes, report: &mut Report) {
    let all = days.all().unwrap_or_default();
    for day in &all {
        report.enter(folder.join(day.to_string()));
        let audited = match days.get(*day) {
            Ok(Some(partition)) => DayAudit::new(*day, &*partition, notes, report).run(),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = audited {
            report.failed(&error);
        }
        report.checked.days += 1;
        days.release(*day);
    }
    let known = notes.resting.keys().chain(notes.witnesses.keys());
    let known: BTreeSet<_> = known.copied().collect();
    for day in known.difference(&all.into_iter().collect()) {
        let removed = notes.gone.before.is_some_and(|before| *day < before);
        if !removed {
            report.enter(folder.join(day.to_string()));
            report.find("is missing, and retention did not remove it");
        }
    }
}

/// The catalog is not made anew if it is gone.
fn open_catalog(root: &dyn Space, cache_bytes: u64) -> Result<Arc<dyn Partition>, Error> {
    let names = root.list().map_err(super::day::from_kv)?;
    if !names.iter().any(|name| name == CATALOG) {
        return Err(Error::Corrupt("it is missing".to_owned()));
    }
    root.open(CATALOG, cache_bytes / 16)
        .map_err(super::day::from_kv)
}

/// Where findings go, with the place where they are made.
pub(super) struct Report {
    keyring: Keyring,
    sealed: HashSet<SealId>,
    place: PathBuf,
    checked: Checked,
    found: Found,
}

impl Report {
    pub(super) fn new(keyring: Keyring, found: Found) -> Self {
        Self {
            keyring,
            sealed: HashSet::new(),
            place: PathBuf::new(),
            checked: Checked::default(),
            found,
        }
    }

    /// What follows is found there.
    fn enter(&mut self, place: PathBuf) {
        self.place = place;
    }

    fn find(&mut self, what: impl Into<String>) {
        self.checked.findings += 1;
        (self.found)(Finding {
            place: self.place.display().to_string(),
            what: what.into(),
        });
    }

    /// The place cannot be read any further.
    fn failed(&mut self, error: &Error) {
        let mut what = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            what.push_str(": ");
            what.push_str(&cause.to_string());
            source = cause.source();
        }
        // A folder's own errors name it already.
        let named = format!("{}: ", self.place.display());
        self.find(format!("cannot be read: {}", what.replace(&named, "")));
    }

    /// A row whose bytes make no sense.
    /// Secrets whose key is not at hand, which is told once.
    fn sealed(&mut self, key: SealId) {
        if self.sealed.insert(key) {
            self.find(Error::Sealed(key).to_string());
        }
    }

    fn malformed(&mut self, key: &[u8]) {
        self.find(format!("row {} makes no sense", key.escape_ascii()));
    }
}
