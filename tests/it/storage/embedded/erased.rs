//! What was erased is no longer in any file.

use std::{collections::BTreeMap, fs, path::Path};

use postrider::{
    domain::{Attempt, Erasure, Event},
    storage::{AttemptRecord, LogPosition, View, embedded::Adapter},
};

use super::{super::build::*, Fixture, InDirectory, copy};
use crate::support::eventually;

/// Bytes that are nowhere but where a test puts them.
const PAYLOAD: &str = "the-secret-of-a-payload";
const ANSWER: &str = "the-secret-of-an-answer";
const OTHER: &str = "what-nobody-wants-gone";

/// The day of [`NOON`].
const DAY: &str = "2024-01-15";

/// How often each of the texts stands in the files of a directory.
fn traces(dir: &Path) -> BTreeMap<&'static str, usize> {
    let mut found: BTreeMap<_, _> = [PAYLOAD, ANSWER, OTHER].map(|text| (text, 0)).into();
    look(dir, &mut found);
    found
}

fn look(path: &Path, found: &mut BTreeMap<&'static str, usize>) {
    // Files come and go while a store is open.
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        look(&entry.path(), found);
    }
    let bytes = fs::read(path).unwrap_or_default();
    for (text, count) in found {
        let windows = bytes.windows(text.len());
        *count += windows.filter(|window| *window == text.as_bytes()).count();
    }
}

fn telling(number: u128, text: &str, length: usize) -> Event {
    Event {
        payload: payload(format!("\"{text}{}\"", "-".repeat(length))),
        ..event(number, NOON)
    }
}

async fn erased_content_leaves_the_files(adapter: Adapter) {
    let mut store = InDirectory::new(adapter).await;
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let mut ids = Vec::new();
    // Within the row of the event, beside it, and in pieces.
    for (number, length) in [(1, 0), (2, 2_000), (3, 20_000)] {
        let delivery = deliver(engine, telling(number, PAYLOAD, length), &[1]).await;
        let answered = AttemptRecord {
            attempt: Attempt {
                response_body: format!("{ANSWER}{}", "-".repeat(length)).into(),
                ..attempt(delivery, 1)
            },
            ..succeeded(delivery, 1)
        };
        engine.record_attempts(vec![answered]).await.unwrap();
        ids.push(delivery.event_id());
    }
    let other = deliver(engine, telling(4, OTHER, 0), &[1]).await;
    let before = traces(store.dir.path());
    assert!(before.values().all(|count| *count > 0), "{before:?}");

    for id in ids {
        let erased = engine.erase(tenant(), Erasure::Event(id), after(5)).await;
        assert_eq!(erased.unwrap().attempts, 1);
    }
    let dir = store.dir.path().to_owned();
    eventually("the bytes to be gone", async || {
        let found = traces(&dir);
        (found[PAYLOAD] + found[ANSWER] == 0).then_some(())
    })
    .await;
    store.reopen().await;
    let after = traces(store.dir.path());
    assert_eq!((after[PAYLOAD], after[ANSWER]), (0, 0));
    assert!(after[OTHER] > 0);
    let engine = &**store.engine();
    let kept = engine.event(tenant(), other.event_id(), View::Full).await;
    assert_eq!(kept.unwrap().payload, telling(4, OTHER, 0).payload);
    assert_eq!(read_all(engine, LogPosition::default()).await.len(), 3);
}

#[tokio::test]
async fn erased_content_leaves_the_files_of_sled() {
    erased_content_leaves_the_files(Adapter::Sled).await;
}

#[tokio::test]
async fn erased_content_leaves_the_files_of_fjall() {
    erased_content_leaves_the_files(Adapter::Fjall).await;
}

#[tokio::test]
async fn of_a_day_and_what_took_its_place_the_latter_is_left_after_a_crash() {
    let mut store = InDirectory::new(Adapter::Sled).await;
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let id = deliver(engine, telling(1, PAYLOAD, 0), &[1]).await;
    store.engine.close().await;
    let days = store.dir.path().join("data/days");
    let old = store.dir.path().join("old");
    fs::create_dir(&old).unwrap();
    copy(&days.join(DAY), &old).unwrap();
    store.open().await;
    let erased = Erasure::Event(id.event_id());
    let erased = store.engine.erase(tenant(), erased, after(5)).await;
    erased.unwrap();
    let names = || {
        let names = fs::read_dir(&days).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let anew = format!("{DAY}.1");
    eventually("the day to be written anew", async || {
        (names() == [anew.as_str()]).then_some(())
    })
    .await;
    store.engine.close().await;

    // As if the process had died before it removed the old one.
    fs::rename(&old, days.join(DAY)).unwrap();
    fs::create_dir(days.join(format!("{DAY}.part"))).unwrap();
    store.open().await;
    assert_eq!(names(), [anew.as_str()]);
    let read = store
        .engine
        .event(tenant(), id.event_id(), View::Full)
        .await;
    assert!(read.unwrap().is_erased());
    assert_eq!(traces(store.dir.path())[PAYLOAD], 0);
}
