//! The disk below the server: how long one sync takes, and what a folder holds.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

const SYNCS: usize = 200;

/// Median time to append 4 KiB to a file in the folder and sync it.
pub(super) fn sync_median(folder: &Path) -> io::Result<Duration> {
    let path = folder.join(format!("sync-{}.tmp", std::process::id()));
    let times = sync_times(&path);
    fs::remove_file(&path)?;
    let mut times = times?;
    times.sort_unstable();
    Ok(times[SYNCS / 2])
}

/// Bytes that a folder takes up on disk, with everything below it.
pub(super) fn usage(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file may be gone since it was listed.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            bytes += usage(&entry.path())?;
        }
    }
    Ok(bytes)
}

fn sync_times(path: &Path) -> io::Result<Vec<Duration>> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let page = [0x5a; 4096];
    (0..SYNCS)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&page)?;
            file.sync_data()?;
            Ok(start.elapsed())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_counts_what_lies_deeper() {
        let folder = tempfile::tempdir().unwrap();
        let before = usage(folder.path()).unwrap();
        let deeper = folder.path().join("a/b");
        fs::create_dir_all(&deeper).unwrap();
        fs::write(deeper.join("file"), vec![1; 100_000]).unwrap();
        assert!(usage(folder.path()).unwrap() >= before + 100_000);
    }

    #[test]
    fn measuring_the_sync_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(sync_median(folder.path()).unwrap() > Duration::ZERO);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
