//! What was erased is no longer in any file.

use std::{collections::BTreeMap, fs, path::Path};

use postrider::{
    domain::{Attempt, Erasure, Event},
    storage::{AttemptRecord, LogPosition, View, embedded::Adapter},
};

use super::{super::build::*, Fixture, InDirectory};
use crate::support::eventually;

/// Bytes that are nowhere but where a test puts them.
const PAYLOAD: &str = "the-secret-of-a-payload";
const ANSWER: &str = "the-secret-of-an-answer";
const OTHER: &str = "what-nobody-wants-gone";

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
