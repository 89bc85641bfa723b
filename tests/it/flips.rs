//! Damage to a file is told, and never delivered.
//!
//! In copies of a store one byte of one file is changed, anywhere. Each opens,
//! or is refused with its directory's name; nothing that is read from it or
//! delivered is other than what was stored. `tests/crash --flips` does the same
//! with bigger numbers.

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use postrider::{
    domain::{Attempt, DeliveryId, Event, EventId, Payload, TimeRange},
    storage::{
        AttemptRecord, DueKey, Engine, Error, EventFilter, LogPosition, View,
        embedded::{Adapter, Settings, check, open},
    },
};
use rustix::process::Signal;

use crate::{
    crash::{
        payload::data_of_size,
        plan::{Dice, mix},
    },
    storage::{build::*, fixture::TestClock},
    support::{Process, Receiver, Reply, within},
};

const EVENTS: u64 = 300;
const SIZES: [usize; 10] = [
    64, 300, 900, 1_024, 1_025, 4_096, 4_097, 9_000, 60_000, 256_000,
];
/// Files that hold nothing.
const EMPTY: [&str; 2] = ["LOCK", "RESERVE"];
/// Each so manieth is served by the program, too.
const SERVED: u64 = 10;

/// What is in the store.
#[derive(Default)]
struct Stored {
    events: HashMap<EventId, Event>,
    attempts: HashMap<DeliveryId, Attempt>,
    /// Deliveries that are still to be made.
    due: usize,
}

/// What came of one copy.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    refused: bool,
    /// What could not be read, of any kind.
    errors: usize,
    missing: usize,
    /// Deliveries that could be made.
    due: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_byte_is_never_delivered_from_sled() {
    flip(Adapter::Sled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_byte_is_never_delivered_from_fjall() {
    flip(Adapter::Fjall).await;
}

async fn flip(adapter: Adapter) {
    let flips = number("CRASH_FLIPS").unwrap_or(40);
    let seed = number("CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    say(&format!("{flips} flips in {}, seed {seed}", adapter.name()));
    let stored = Arc::new(Mutex::new(Arc::new(Stored::default())));
    let changed = Arc::new(Mutex::new(Vec::new()));
    let receiver = {
        let (stored, changed) = (stored.clone(), changed.clone());
        Receiver::forgetting(move |request| {
            let id = request.header("webhook-id");
            let stored = stored.lock().unwrap().clone();
            let event = id.parse().ok().and_then(|id| stored.events.get(&id));
            let data = event.map(|event| [b"\"data\":", &*event.payload.data, b"}"].concat());
            if !data.is_some_and(|data| request.body.ends_with(&data)) {
                changed.lock().unwrap().push(id.to_owned());
            }
            Reply::status(204)
        })
        .await
    };
    let original = tempfile::tempdir().unwrap();
    let built = Arc::new(build(adapter, original.path(), &receiver).await);
    *stored.lock().unwrap() = built.clone();

    let mut outcomes = BTreeMap::<&str, u64>::new();
    let mut dice = Dice::new(seed, adapter as u64);
    for n in 0..flips {
        let copy = tempfile::tempdir().unwrap();
        let (file, offset, to) = change(original.path(), &mut dice);
        let image = |name: &str| {
            let dir = copy.path().join(name);
            copy_into(&dir, original.path());
            let path = dir.join(&file);
            let mut bytes = fs::read(&path).unwrap();
            bytes[offset] = to;
            fs::write(&path, bytes).unwrap();
            dir
        };
        say(&format!(
            "{} {n}: {} at {offset} is {to}",
            adapter.name(),
            file.display()
        ));
        let dir = image("read");
        let outcome = read(adapter, &dir, &built).await;
        if n.is_multiple_of(SERVED) {
            serve(adapter, &image("served")).await;
        }
        let outcome = match &outcome {
            Seen { refused: true, .. } => "refused",
            Seen { errors: 1.., .. } => "some told to be damaged",
            Seen { missing: 1.., .. } => {
                // Of one that nobody has opened and closed since.
                if is_told(adapter, &image("checked")).await {
                    "some missing, told by the check"
                } else {
                    say(&format!("{n}: untold"));
                    "some missing, untold"
                }
            }
            _ => "unharmed",
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    assert_eq!(
        *changed.lock().unwrap(),
        [""; 0],
        "delivered with other bytes"
    );
    say(&format!("{}: {outcomes:?}; 0 changed", adapter.name()));
    // Behind a hole in its log sled goes on; where everything of an event was in
    // there, no row is left that would miss it.
    if adapter != Adapter::Sled {
        assert_eq!(outcomes.get("some missing, untold"), None);
    }
}

/// Stores events of many sizes on two days, some delivered, some tried.
async fn build(adapter: Adapter, dir: &Path, receiver: &Receiver) -> Stored {
    let engine = open(settings(adapter, dir), TestClock::new())
        .await
        .unwrap();
    for number in 1..=2 {
        let mut wanted = subscription(number);
        wanted.spec.url = receiver.url("/").parse().unwrap();
        engine.create_subscription(wanted, None).await.unwrap();
    }
    let mut stored = Stored::default();
    for n in 1..=EVENTS {
        let size = SIZES[usize::try_from(mix(n, 9) % SIZES.len() as u64).unwrap()];
        // The largest are rare.
        let size = if n.is_multiple_of(9) {
            size
        } else {
            size.min(9_000)
        };
        let time = if n <= EVENTS / 2 {
            after(n)
        } else {
            days_after(1)
        };
        let event = Event {
            payload: Payload {
                data: data_of_size(n, size),
                ..event(u128::from(n), time).payload
            },
            ..event(u128::from(n), time)
        };
        stored.events.insert(event.id, event.clone());
        let id = deliver(&*engine, event, &[1, 2]).await;
        stored.due += 2;
        let record = match n % 3 {
            0 => succeeded(id, 1),
            1 => failed(id, 1, after(100_000)),
            _ => continue,
        };
        stored.due -= usize::from(n % 3 == 0);
        stored.attempts.insert(id, record.attempt.clone());
        let record = AttemptRecord {
            due: time,
            ..record
        };
        engine.record_attempts(vec![record]).await.unwrap();
    }
    engine.close().await;
    stored
}

/// fjall panics over it with a lock that it panics over again.
#[tokio::test]
async fn a_manifest_with_a_changed_level_count_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::accepting().await;
    let dir = folder.path().join("store");
    build(Adapter::Fjall, &dir, &receiver).await;
    let mut files = Vec::new();
    list(&dir.join("catalog/keyspaces/1"), &mut files);
    for manifest in files {
        let name = manifest.file_name().unwrap().to_string_lossy();
        if !name.starts_with('v') {
            continue;
        }
        let mut bytes = fs::read(&manifest).unwrap();
        assert_eq!(bytes[8], 7);
        bytes[8] = 22;
        fs::write(&manifest, bytes).unwrap();
    }
    let refused = open(settings(Adapter::Fjall, &dir), TestClock::new()).await;
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains(dir.to_str().unwrap()), "{refused}");
    assert!(refused.contains("level_count"), "{refused}");
}

/// Opens a copy and reads everything in every way.
async fn read(adapter: Adapter, dir: &Path, stored: &Stored) -> Seen {
    let mut seen = Seen::default();
    let opened = within(
        "the store to open",
        open(settings(adapter, dir), TestClock::new()),
    )
    .await;
    let engine = match opened {
        Ok(engine) => engine,
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(dir.to_str().unwrap()), "{said}");
            seen.refused = true;
            return seen;
        }
    };
    within("the store to be read", async {
        read_events(&*engine, stored, &mut seen).await;
        read_queues(&*engine, stored, &mut seen).await;
        read_attempts(&*engine, stored, &mut seen).await;
        // It may refuse, but not hang.
        let more = event(u128::from(EVENTS) + 1, days_after(1));
        let accepted = accept(&*engine, vec![routed(more, &[1])]).await;
        seen.errors += usize::from(accepted.is_err());
    })
    .await;
    within("the store to close", engine.close()).await;
    seen
}

async fn read_events(engine: &dyn Engine, stored: &Stored, seen: &mut Seen) {
    for (id, event) in &stored.events {
        match engine.event(tenant(), *id, View::Full).await {
            Ok(found) => assert!(found == *event, "{id} changed"),
            Err(Error::NotFound(_)) => seen.missing += 1,
            Err(_) => seen.errors += 1,
        }
        let delivery = engine.delivery(tenant(), DeliveryId::new(*id, 1)).await;
        match delivery {
            Ok(found) => assert_eq!(found.event_type, event.event_type),
            Err(Error::NotFound(_)) => seen.missing += 1,
            Err(_) => seen.errors += 1,
        }
    }
    let filter = EventFilter {
        types: Vec::new(),
        accepted: TimeRange::ALL,
    };
    let mut request = page(50);
    loop {
        let listed = engine.list_events(tenant(), &filter, View::Full, request.clone());
        let Ok(listed) = listed.await else {
            seen.errors += 1;
            return;
        };
        for found in listed.items {
            assert!(
                stored.events.get(&found.id) == Some(&found),
                "{} changed",
                found.id
            );
        }
        request.cursor = listed.next;
        if request.cursor.is_none() {
            return;
        }
    }
}

/// Loads what the scheduler would send.
async fn read_queues(engine: &dyn Engine, stored: &Stored, seen: &mut Seen) {
    for number in 1..=2 {
        let mut after: Option<DueKey> = None;
        loop {
            let Ok(due) = engine.due(sub(number), after, 50).await else {
                seen.errors += 1;
                break;
            };
            for place in &due.entries {
                match engine.load_work(sub(number), place.delivery_id).await {
                    Ok(Some(work)) => {
                        let event = stored.events.get(&work.event.id);
                        assert!(event == Some(&*work.event), "{} changed", work.event.id);
                        seen.due += 1;
                    }
                    Ok(None) => {}
                    Err(_) => seen.errors += 1,
                }
            }
            after = due.entries.last().copied();
            if due.complete || after.is_none() {
                break;
            }
        }
    }
    seen.missing += stored.due.saturating_sub(seen.due + seen.errors);
}

async fn read_attempts(engine: &dyn Engine, stored: &Stored, seen: &mut Seen) {
    match engine.read_log(LogPosition::default(), 10_000).await {
        Ok(log) => {
            for (_, found) in &log.attempts {
                let attempt = stored.attempts.get(&found.delivery_id);
                assert!(
                    attempt == Some(&**found),
                    "attempt of {} changed",
                    found.delivery_id
                );
            }
            seen.missing += stored.attempts.len() - log.attempts.len();
        }
        Err(_) => seen.errors += 1,
    }
}

/// Serves a copy: the program says which directory is damaged, or works and
/// ends when it is told to.
async fn serve(adapter: Adapter, dir: &Path) {
    let engine = [("POSTRIDER_STORAGE_ENGINE", adapter.name())];
    match Process::start_under(&[], dir, &engine).await {
        Ok(server) => {
            server.signal(Signal::TERM);
            let (status, log) = server.wait().await;
            assert!(status.code().is_some(), "{status}: {}", log.join("\n"));
        }
        Err(log) => assert!(log.contains(dir.to_str().unwrap()), "{log}"),
    }
}

/// Whether the check finds something.
async fn is_told(adapter: Adapter, dir: &Path) -> bool {
    let findings = Arc::new(Mutex::new(0));
    let keep = findings.clone();
    let found = Box::new(move |_| *keep.lock().unwrap() += 1);
    let checked = within("the check", check(settings(adapter, dir), found)).await;
    checked.is_err() || *findings.lock().unwrap() > 0
}

fn settings(adapter: Adapter, dir: &Path) -> Settings {
    Settings {
        adapter,
        dir: dir.to_owned(),
        cache_bytes: Settings::DEFAULT_CACHE_BYTES,
    }
}

/// A file, a place in it and another byte for that. Most of what a database
/// sets apart is empty, so a place with something in it is looked for.
fn change(dir: &Path, dice: &mut Dice) -> (PathBuf, usize, u8) {
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
fn list(dir: &Path, files: &mut Vec<PathBuf>) {
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

fn copy_into(to: &Path, from: &Path) {
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

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse().ok();
    Some(number.unwrap_or_else(|| panic!("{variable} is {text:?}, must be a number")))
}

#[expect(clippy::print_stderr, reason = "figures, and how to repeat a failure")]
fn say(line: &str) {
    eprintln!("flips: {line}");
}
