//! What fjall keeps about its tables, as far as it panics over it.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use super::super::kv::{Error, Result};

/// Refuses a manifest that fjall would panic over.
///
/// It does so while it holds a lock, and once more over that lock when it lets
/// go of what it had opened. Nothing catches a second panic: the process would
/// end, and end again at each start. These are the parts of a manifest that no
/// checksum of fjall covers and whose values it asserts.
pub(super) fn check(dir: &Path) -> Result<()> {
    const ASSERTED: [(&[u8], u8); 2] = [(b"level_count", 7), (b"filter_hash_type", 0)];
    let keyspaces = match fs::read_dir(dir.join("keyspaces")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        keyspaces => keyspaces?,
    };
    for keyspace in keyspaces {
        let keyspace = keyspace?.path();
        // Whatever cannot be read fjall refuses without a panic.
        let Some(current) = fs::read(keyspace.join("current"))
            .ok()
            .and_then(|current| current.first_chunk().copied().map(u64::from_le_bytes))
        else {
            continue;
        };
        let path = keyspace.join(format!("v{current}"));
        let Ok(manifest) = sfa::Reader::new(&path) else {
            continue;
        };
        for (name, asserted) in ASSERTED {
            let mut found = Vec::new();
            if let Some(section) = manifest.toc().section(name) {
                section.buf_reader(&path)?.read_to_end(&mut found)?;
            }
            if found != [asserted] {
                let name = name.escape_ascii();
                let path = path.display();
                return Err(Error::Corrupt(format!("{path} has a {name} of {found:?}")));
            }
        }
    }
    Ok(())
}
