//! `postrider storage check` on stores that were damaged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{FJALL, Place, run, succeed, waiting};
use crate::support::cluster::connect;

#[tokio::test]
async fn a_check_names_what_is_damaged_in_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::database(folder.path().to_owned()).await;
    waiting(&place.data, &place.variables(), 1).await;
    succeed(&["check", &place.url]).await;
    let client = connect(&place.url).await;
    let lost = client.execute("DELETE FROM postrider.ready", &[]).await;
    assert_eq!(lost.unwrap(), 1_000);
    let checked = run(&["check", &place.url]).await;
    assert_eq!(checked.code, Some(1));
    let found = checked.stdout.matches("stands in no queue").count();
    assert_eq!(found, 100, "{}", checked.stdout);
    assert!(checked.stdout.contains("... and 900 more"));
    assert!(checked.stderr.contains("is not sound: 1,000 findings"));
}

#[tokio::test]
async fn a_check_names_what_is_damaged_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    for (engine, variables) in [("sled", &[][..]), ("fjall", FJALL)] {
        let sound = folder.path().join(engine);
        waiting(&sound, variables, 1).await;
        let damaged = folder.path().join(format!("{engine}-damaged"));
        let url = format!("{engine}:{}", damaged.display());
        for number in 0..8 {
            let _ = fs::remove_dir_all(&damaged);
            copy_folder(&sound, &damaged);
            let day = only_day(&damaged);
            if number == 0 {
                fs::remove_dir_all(&day).unwrap();
            } else {
                damage(&day, number);
            }
            let checked = run(&["check", &url]).await;
            let text = format!("{number}: {}{}", checked.stdout, checked.stderr);
            // Not every byte means something, and sled takes what follows some
            // damage for a write that was cut off.
            assert!(matches!(checked.code, Some(0 | 1)), "{text}");
            assert!(!text.contains("panicked at"), "{text}");
            let named = checked.stdout.contains(&day.display().to_string());
            assert_eq!(checked.code == Some(1), named, "{text}");
            if number < 2 {
                assert!(named, "{text}");
            }
        }
    }
}

fn only_day(store: &Path) -> PathBuf {
    let mut days = fs::read_dir(store.join("days")).unwrap();
    days.next().unwrap().unwrap().path()
}

/// Flips bytes in the largest file: all of them, or a few here and there.
fn damage(day: &Path, number: usize) {
    let largest = files(day).into_iter().max_by_key(|(_, size)| *size);
    let (path, _) = largest.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    if number == 1 {
        bytes[..length / 8].reverse();
        bytes[length / 8..].fill(0x5a);
    } else {
        for byte in bytes.iter_mut().skip(number * 997).step_by(length / number) {
            *byte ^= 0x5a;
        }
    }
    fs::write(path, bytes).unwrap();
}

fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let below = |entry: fs::DirEntry| {
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path())
        } else {
            vec![(entry.path(), entry.metadata().unwrap().len())]
        }
    };
    entries.flat_map(below).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    for (path, _) in files(from) {
        let to = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(path, to).unwrap();
    }
}
