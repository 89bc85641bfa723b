//! What the disk keeps of a trace.

use std::{fs, path::Path};

use super::{super::trace, Disk, Keep};
use crate::crash::plan::Dice;

/// Names and contents of what a power cut leaves.
fn left_after(trace: &str) -> Vec<(String, Vec<u8>)> {
    let mut disk = Disk::new(Path::new("/d"));
    for step in &trace::read(trace) {
        disk.take(step);
    }
    let image = tempfile::tempdir().unwrap();
    disk.write_image(image.path(), Keep::Nothing, &mut Dice::new(0, 0));
    let entries = fs::read_dir(image.path()).unwrap();
    let mut left: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    left.sort();
    left
}

const MAKE: &str = r#"1 1.000001 openat(AT_FDCWD, "\x2f\x64\x2f\x61", O_RDWR|O_CREAT) = 3
1 1.000002 write(3, "\x41\x42", 2) = 2
"#;
const SYNC_FILE: &str = "1 1.000003 fdatasync(3) = 0\n";
const SYNC_NAME: &str = r#"1 1.000004 openat(AT_FDCWD, "\x2f\x64", O_RDONLY) = 4
1 1.000005 fsync(4) = 0
"#;

#[test]
fn only_what_was_synced_is_left() {
    let left = |parts: &[&str]| left_after(&parts.concat());
    let file = |bytes: &[u8]| vec![("a".to_owned(), bytes.to_vec())];
    assert_eq!(left(&[MAKE]), []);
    assert_eq!(left(&[MAKE, SYNC_FILE]), []);
    assert_eq!(left(&[MAKE, SYNC_NAME]), file(b""));
    assert_eq!(left(&[MAKE, SYNC_FILE, SYNC_NAME]), file(b"AB"));
    let ranges = "1 1.000006 sync_file_range(3, 0, 2, SYNC_FILE_RANGE_WRITE) = 0\n";
    assert_eq!(left(&[MAKE, SYNC_NAME, ranges]), file(b""));
}

#[test]
fn a_sync_keeps_nothing_that_was_written_after_it_began() {
    let late = r#"1 1.000006 fsync(3 <unfinished ...>
2 1.000007 pwrite64(3, "\x43", 1, 1) = 1
1 1.000008 <... fsync resumed>) = 0
"#;
    let left = left_after(&[MAKE, SYNC_NAME, late].concat());
    assert_eq!(left, [("a".to_owned(), b"AB".to_vec())]);
}

#[test]
fn a_move_is_lost_as_a_whole() {
    let moved = "1 1.000006 rename(\"\\x2f\\x64\\x2f\\x61\", \"\\x2f\\x64\\x2f\\x62\") = 0\n";
    let before = [MAKE, SYNC_FILE, SYNC_NAME, moved].concat();
    assert_eq!(left_after(&before), [("a".to_owned(), b"AB".to_vec())]);
    let after = [before.as_str(), "1 1.000007 fsync(4) = 0\n"].concat();
    assert_eq!(left_after(&after), [("b".to_owned(), b"AB".to_vec())]);
}
