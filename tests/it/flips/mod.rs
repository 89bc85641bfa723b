//! Damage to a file is told, and never delivered.
//!
//! In copies of a store one byte of one file is changed, anywhere. Each opens,
//! or is refused with its directory's name; nothing that is read from it or
//! delivered is other than what was stored. `tests/crash --flips` does the same
//! with bigger numbers.

mod damage;
mod read;

use crate::support::keyring;
use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    path::Path,
    sync::{Arc, Mutex},
};

use postrider::{
    domain::{Attempt, DeliveryId, Event, EventId, Payload},
    storage::{
        AttemptRecord,
        embedded::{Adapter, Settings, open},
    },
};
use rustix::process::Signal;

use self::{
    damage::{change, copy_into, list},
    read::{Seen, is_told, read},
};
use crate::{
    crash::{
        payload::data_of_size,
        plan::{Dice, mix},
    },
    storage::{build::*, fixture::TestClock},
    support::{Process, Receiver, Reply},
};

const EVENTS: u64 = 300;
const SIZES: [usize; 10] = [
    64, 300, 900, 1_024, 1_025, 4_096, 4_097, 9_000, 60_000, 256_000,
];
/// Each so manieth is served by the program, too.
const SERVED: u64 = 10;
/// The outcome that must not be.
const UNTOLD: &str = "some missing, untold";

/// What is in the store.
#[derive(Default)]
struct Stored {
    events: HashMap<EventId, Event>,
    attempts: HashMap<DeliveryId, Attempt>,
    /// Deliveries that are still to be made.
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
                    UNTOLD
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
    assert_eq!(outcomes.get(UNTOLD), None);
}

/// Stores events of many sizes on two days, some delivered, some tried.
async fn build(adapter: Adapter, dir: &Path, receiver: &Receiver) -> Stored {
    let engine = open(settings(adapter, dir), TestClock::new())
        .await
        .unwrap();
    for number in 1..=2 {
        let mut wanted = subscription(number);
        wanted.spec.url = receiver.url("/").parse().unwrap();
        engine
            .create_subscription(wanted, None, None)
            .await
            .unwrap();
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

fn settings(adapter: Adapter, dir: &Path) -> Settings {
    Settings {
        adapter,
        dir: dir.to_owned(),
        cache_bytes: Settings::DEFAULT_CACHE_BYTES,
        keyring: keyring(),
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
