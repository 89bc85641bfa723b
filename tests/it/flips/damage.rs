//! Copies of a store, and where one byte of them is changed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::crash::plan::Dice;

/// Files that hold nothing.
const EMPTY: [&str; 2] = ["LOCK", "RESERVE"];
/// A file, a place in it and another byte for that. Most of what a database
/// sets apart is empty, so a place with something in it is looked for.
pub fn change(dir: &Path, dice: &mut Dice) -> (PathBuf, usize, u8) {
    let mut files = Vec::new();
    list(dir, &mut files);
    files.sort();
    let path = &files[usize::try_from(dice.below(files.len() as u64)).unwrap()];
    let bytes = fs::read(path).unwrap();
    let mut offset = 0;
    for _ in 0..64 {
        offset = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
        if bytes[offset] != 0 {
            break;
        }
    }
    let other = u8::try_from(1 + dice.below(255)).unwrap();
    let file = path.strip_prefix(dir).unwrap().to_owned();
    (file, offset, bytes[offset] ^ other)
}

/// All files with something in them.
pub fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), files);
        } else if !EMPTY.iter().any(|name| entry.file_name() == *name)
            && entry.metadata().unwrap().len() > 0
        {
            files.push(entry.path());
        }
    }
}

pub fn copy_into(to: &Path, from: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&to, &entry.path());
        } else if entry.file_name() != "RESERVE" {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
