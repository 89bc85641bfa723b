//! fjall on a disk that has no room for a table.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::super::{
    fjall::FjallPartition,
    folder::Database,
    kv::{Batch, Error, Partition},
};

const MIB: usize = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);

/// A file system of 32 MiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "this test needs a small file system: run it as root, or in a container with \
             CAP_SYS_ADMIN"
        );
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Sixteen rows of four KiB that nothing makes smaller, from this one on.
fn batch(first: u32) -> Batch {
    let mut batch = Batch::default();
    for number in first..first + 16 {
        batch.put(number.to_be_bytes().to_vec(), value(number));
    }
    batch
}

fn value(number: u32) -> Vec<u8> {
    use rand::{Rng, SeedableRng};
    let mut value = vec![0; 4096];
    rand::rngs::SmallRng::seed_from_u64(number.into()).fill_bytes(&mut value);
    value
}

fn open(dir: &Path) -> FjallPartition {
    FjallPartition::open(dir, MIB as u64).unwrap().unwrap()
}

fn has_all(partition: &FjallPartition, rows: u32) {
    for number in 0..rows {
        let found = partition.get(&number.to_be_bytes()).unwrap();
        assert_eq!(found, Some(value(number)), "{number}");
    }
}

#[test]
fn a_database_that_found_no_room_for_a_table_goes_on_once_there_is_some() {
    let disk = SmallDisk::mount();
    let dir = disk.0.path().join("database");
    let partition = open(&dir);
    let mut rows = 0;
    while rows < 256 {
        partition.commit(batch(rows)).unwrap();
        rows += 16;
    }
    let ballast = disk.0.path().join("ballast");
    let leave = 5 * MIB as u64 / 2;
    let free = super::super::folder::free(disk.0.path()).unwrap();
    let filling = vec![1; usize::try_from(free - leave).unwrap()];
    fs::write(&ballast, &filling).unwrap();
    // The journal takes half of what is left; a table would need more than that.
    while rows < 560 && partition.commit(batch(rows)).is_ok() {
        rows += 16;
    }
    let began = Instant::now();
    while partition.upkeep().is_ok() {
        assert!(began.elapsed() < PATIENCE, "there is no room for a table");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(matches!(partition.upkeep(), Err(Error::Full)));
    assert!(matches!(partition.commit(batch(rows)), Err(Error::Full)));
    has_all(&partition, rows);

    fs::remove_file(ballast).unwrap();
    partition.upkeep().unwrap();
    partition.commit(batch(rows)).unwrap();
    rows += 16;
    has_all(&partition, rows);
    partition.tidy().unwrap();
    has_all(&partition, rows);
    partition.commit(batch(rows)).unwrap();
    rows += 16;
    drop(partition);
    has_all(&open(&dir), rows);
}
