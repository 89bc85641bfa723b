//! Whether everything in a store agrees with itself.

use super::keyring;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use postrider::storage::embedded::{Adapter, Settings, check};

/// Checks the store in a directory, which nobody has open.
pub async fn assert_sound(adapter: Adapter, dir: &Path) {
    let settings = Settings {
        adapter,
        dir: dir.to_owned(),
        cache_bytes: Settings::DEFAULT_CACHE_BYTES,
        keyring: keyring(),
    };
    let findings = Arc::new(Mutex::new(Vec::new()));
    let keep = findings.clone();
    let found = Box::new(move |finding| keep.lock().unwrap().push(finding));
    check(settings, found).await.expect("there is a store");
    let findings = findings.lock().unwrap();
    assert!(
        findings.is_empty(),
        "{} is not sound: {findings:?}",
        dir.display()
    );
}
