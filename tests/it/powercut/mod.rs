//! What was acknowledged survives a power cut.
//!
//! The system calls of a real server are traced while it takes events. Then, for
//! many moments of the run, the data directory is rebuilt as a power cut at that
//! moment may have left it, opened, and compared with what had been acknowledged
//! by then. `tests/powercut` does the same with bigger numbers.

mod disk;
mod trace;

use crate::support::keyring;
use std::{
    collections::HashMap,
    env,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::FutureExt;
use postrider::{
    bootstrap::SystemClock,
    domain::{Clock, DeliveryId, EventId, TenantId, TimeRange},
    proto::PublishEventRequest,
    storage::{
        EventFilter, LogPosition, PageRequest, View,
        embedded::{Adapter, Settings, open},
    },
};
use tokio::task::JoinSet;

use self::{
    disk::{Disk, Keep},
    trace::{Step, What},
};
use crate::{
    crash::{payload, plan::Dice},
    support::{Process, Receiver, assert_sound, eventually, process::subscription},
};

const PUBLISHERS: u64 = 4;
const SIZES: [usize; 4] = [200, 4 * 1024, 60 * 1024, 256 * 1024];
/// Every call that changes a file or its name, or makes a change last.
const CALLS: &str = "trace=openat,open,creat,close,lseek,write,pwrite64,pwritev,fsync,fdatasync,\
    sync_file_range,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,\
    mkdirat,fcntl,dup,link,linkat,symlink";

/// What was acknowledged, and when.
#[derive(Debug, Clone)]
struct Acknowledged {
    micros: u64,
    id: EventId,
    data: Bytes,
}

/// A run of the server that was traced.
struct Run {
    folder: tempfile::TempDir,
    acknowledged: Vec<Acknowledged>,
    steps: Vec<Step>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_power_cut() {
    let strace = process::Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    assert!(
        strace.is_ok_and(|status| status.success()),
        "this test needs strace, and leave to trace its own processes; tests/run installs it"
    );
    let images = number("POWERCUT_IMAGES").unwrap_or(60);
    let events = number("POWERCUT_EVENTS").unwrap_or(60);
    let seed = number("POWERCUT_SEED").unwrap_or(u64::from(process::id()));
    let adapter = match env::var("POWERCUT_ENGINE").as_deref() {
        Ok("fjall") => Adapter::Fjall,
        Ok("sled") | Err(_) => Adapter::Sled,
        Ok(other) => panic!("POWERCUT_ENGINE is {other:?}, must be sled or fjall"),
    };
    say(&format!("seed {seed}, {images} images of {adapter:?}"));
    let run = record(adapter, events).await;

    let mut dice = Dice::new(seed, 0);
    let mut cuts = cuts(&run.steps, images, &mut dice).into_iter().peekable();
    let mut disk = Disk::new(&data_dir(&run));
    let mut checked = 0;
    for (index, step) in run.steps.iter().enumerate() {
        while cuts.next_if_eq(&index).is_some() {
            let due = run.acknowledged.iter();
            let due: Vec<_> = due.filter(|event| event.micros < step.micros).collect();
            let keep = match dice.below(4) {
                0 | 1 => Keep::Nothing,
                _ => Keep::Percent([5, 50, 90, 100][usize::try_from(dice.below(4)).unwrap()]),
            };
            let image = tempfile::tempdir().unwrap();
            disk.write_image(image.path(), keep, &mut dice);
            let check = check(adapter, image.path(), &due, &run);
            // Says where, before it fails.
            let checking = std::panic::AssertUnwindSafe(check).catch_unwind().await;
            if let Err(panic) = checking {
                let at = image.keep();
                say(&format!("cut at {index}, {keep:?}: {}", at.display()));
                std::panic::resume_unwind(panic);
            }
            checked += due.len();
        }
        disk.take(step);
    }
    disk.check_against(&data_dir(&run));
    say(&format!(
        "{images} images of {} steps opened, {} events acknowledged and looked for {checked} \
         times; 0 lost, 0 changed",
        run.steps.len(),
        run.acknowledged.len()
    ));
}

fn data_dir(run: &Run) -> PathBuf {
    run.folder.path().join("data")
}

/// Runs a server under load and reads the trace of it.
async fn record(adapter: Adapter, events: u64) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let (data, trace) = (folder.path().join("data"), folder.path().join("trace"));
    std::fs::create_dir(&data).unwrap();
    let words = ["strace", "-D", "-f", "-q", "-ttt", "-xx", "-s", "10000000"];
    let mut launcher: Vec<_> = words.map(str::to_owned).into();
    let more = ["-e", CALLS, "-o", trace.to_str().unwrap()];
    launcher.extend(more.map(str::to_owned));
    let engine = [("POSTRIDER_STORAGE_ENGINE", adapter.name())];
    let server = Process::start_under(&launcher, &data, &engine).await;
    let server = Arc::new(server.unwrap());
    let receiver = Receiver::accepting().await;
    server
        .subscribe(subscription(receiver.url("/"), &[50; 20]))
        .await;

    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut publishers = JoinSet::new();
    for first in 0..PUBLISHERS {
        let (mut client, acknowledged) = (server.events(), acknowledged.clone());
        publishers.spawn(async move {
            for n in (first..events).step_by(usize::try_from(PUBLISHERS).unwrap()) {
                let round = n / PUBLISHERS + n % PUBLISHERS;
                let size = SIZES[usize::try_from(round % 4).unwrap()];
                let data = payload::data_of_size(n, size);
                let mut event = payload::event(n, n.is_multiple_of(2));
                event.payload = Some(postrider::proto::event::Payload::Data(data.clone()));
                let request = PublishEventRequest { event: Some(event) };
                let reply = client.publish_event(request).await.unwrap().into_inner();
                acknowledged.lock().unwrap().push(Acknowledged {
                    micros: SystemClock.now().as_micros(),
                    id: reply.event_id.parse().unwrap(),
                    data,
                });
            }
        });
    }
    while let Some(ended) = publishers.join_next().await {
        ended.unwrap();
    }
    let events = usize::try_from(events).unwrap();
    receiver.wait_for(events).await;
    Arc::into_inner(server).unwrap().stop().await;
    let text = eventually("the end of the trace", async || {
        let text = std::fs::read_to_string(&trace).ok()?;
        let last = text.lines().last()?;
        last.contains("+++ exited").then_some(text)
    })
    .await;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    Run {
        folder,
        acknowledged,
        steps: trace::read(&text),
    }
}

/// Where the power is cut: at the ends of syncs, and anywhere.
fn cuts(steps: &[Step], count: u64, dice: &mut Dice) -> Vec<usize> {
    let mut syncs = Vec::new();
    let mut under_way = HashMap::new();
    for (index, step) in steps.iter().enumerate() {
        match &step.what {
            What::Begins(call) => {
                under_way.insert(step.thread, call.name.ends_with("sync"));
            }
            What::Ends(_) if under_way.remove(&step.thread) == Some(true) => syncs.push(index),
            What::Ends(_) => {}
        }
    }
    let any = |dice: &mut Dice, below: usize| usize::try_from(dice.below(below as u64)).unwrap();
    let mut cuts: Vec<_> = (0..count)
        .map(|n| {
            if n.is_multiple_of(2) {
                syncs[any(dice, syncs.len())] + any(dice, 2)
            } else {
                any(dice, steps.len())
            }
        })
        .map(|index| index.min(steps.len() - 1))
        .collect();
    cuts.sort_unstable();
    cuts
}

/// Opens an image and sees that what is due is there and what is there is right.
async fn check(adapter: Adapter, image: &Path, due: &[&Acknowledged], run: &Run) {
    let settings = Settings {
        adapter,
        dir: image.to_owned(),
        cache_bytes: Settings::DEFAULT_CACHE_BYTES,
        keyring: keyring(),
    };
    let store = open(settings, Arc::new(SystemClock)).await;
    let store = store.expect("what a power cut left opens");
    let tenant = TenantId::default();
    for event in due {
        let found = store.event(&tenant, event.id, View::Full).await;
        let found = found.unwrap_or_else(|error| panic!("{} is lost: {error:?}", event.id));
        assert!(found.payload.data == event.data, "{} changed", event.id);
        let delivery = store.delivery(&tenant, DeliveryId::new(event.id, 0)).await;
        delivery.unwrap_or_else(|error| panic!("delivery of {}: {error:?}", event.id));
    }
    if !due.is_empty() {
        let subscriptions = store.tenant_subscriptions(&tenant).await.unwrap();
        assert_eq!(subscriptions.subscriptions.len(), 1);
    }
    // Others are there whole or not at all.
    let by_id: HashMap<_, _> = run.acknowledged.iter().map(|one| (one.id, one)).collect();
    let filter = EventFilter {
        types: Vec::new(),
        accepted: TimeRange::ALL,
    };
    let mut page = PageRequest {
        size: 100,
        cursor: None,
    };
    loop {
        let events = store
            .list_events(&tenant, &filter, View::Full, page.clone())
            .await
            .unwrap();
        for event in events.items {
            let sent = by_id.get(&event.id).expect("it was sent");
            assert!(event.payload.data == sent.data, "{} is torn", event.id);
        }
        page.cursor = events.next;
        if page.cursor.is_none() {
            break;
        }
    }
    let log = store.read_log(LogPosition::default(), 10_000).await;
    log.unwrap();
    store.close().await;
    assert_sound(adapter, image).await;
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse().ok();
    Some(number.unwrap_or_else(|| panic!("{variable} is {text:?}, must be a number")))
}

#[expect(clippy::print_stderr, reason = "figures, and how to repeat a failure")]
fn say(line: &str) {
    eprintln!("powercut: {line}");
}
