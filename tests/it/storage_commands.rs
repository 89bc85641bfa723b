//! `postrider storage`, run as an operator does: on stores that a real server
//! filled, and that one serves afterwards.

mod damage;
mod rewrap;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use postrider::proto::{
    Attempt, DeliveryFilter, Event, ListAttemptsRequest, PublishEventRequest, event,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::support::{
    Cluster, Process, Receiver, Reply,
    process::{ROOT_KEY, binary, subscription},
    within,
};

const FJALL: &[(&str, &str)] = &[("POSTRIDER_STORAGE_ENGINE", "fjall")];

/// What no command may show.
const PASSWORD: &str = "hush-hush";

/// A store as the commands name it, and how it is served.
struct Place {
    url: String,
    data: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Place {
    fn embedded(engine: &str, data: PathBuf) -> Self {
        Self {
            url: format!("{engine}:{}", data.display()),
            variables: vec![("POSTRIDER_STORAGE_ENGINE", engine.to_owned())],
            data,
        }
    }

    /// In a database of its own, which takes any password.
    async fn database(unused: PathBuf) -> Self {
        let (_, url) = Cluster::shared().bare_database().await;
        let url = url.replace("postgres@", &format!("postgres:{PASSWORD}@"));
        let engine = ("POSTRIDER_STORAGE_ENGINE", "postgres".to_owned());
        Self {
            variables: vec![engine, ("POSTRIDER_STORAGE_URL", url.clone())],
            url,
            data: unused,
        }
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        let variables = self.variables.iter();
        variables.map(|(name, value)| (*name, &**value)).collect()
    }

    async fn serve(&self) -> Process {
        Process::start_with(&self.data, &self.variables()).await
    }

    /// What a server says that does not start.
    async fn refuse(&self) -> String {
        let served = Process::start_under(&[], &self.data, &self.variables()).await;
        served.err().expect("it is not served")
    }
}

/// What a command came to.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn storage(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .arg("storage")
        .args(arguments)
        .env("POSTRIDER_SECRETS_KEY", ROOT_KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> Ran {
    let ran = within("the command to end", storage(arguments).output()).await;
    let output = ran.unwrap();
    let ran = Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!said.contains(PASSWORD), "{said}");
    ran
}

async fn succeed(arguments: &[&str]) -> Ran {
    let ran = run(arguments).await;
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
    ran
}

async fn copy(from: &str, to: &str) -> Ran {
    succeed(&["copy", "--from", from, "--to", to]).await
}

/// What a store holds, but for what its engine makes of it.
async fn holds(url: &str) -> Value {
    let ran = succeed(&["stats", url, "--json"]).await;
    let mut holds: Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
    let fields = holds.as_object_mut().expect("it is an object");
    for own in ["store", "format", "bytes", "bytes_free", "days"] {
        fields.remove(own).expect(own);
    }
    holds
}

async fn publish_keyed(server: &Process) -> (String, bool) {
    let request = PublishEventRequest {
        event: Some(Event {
            r#type: "order.keyed".to_owned(),
            payload: Some(event::Payload::Data("{}".into())),
            idempotency_key: "key-1".to_owned(),
            ..Default::default()
        }),
    };
    let reply = server.events().publish_event(request).await.unwrap();
    let reply = reply.into_inner();
    (reply.event_id, reply.duplicate)
}

async fn attempts_of(server: &Process, event_id: &str) -> Vec<Attempt> {
    let request = ListAttemptsRequest {
        filter: Some(DeliveryFilter {
            event_id: event_id.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let reply = server.deliveries().list_attempts(request).await;
    reply.unwrap().into_inner().attempts
}

/// A store with this many events that wait for tomorrow.
async fn waiting(data: &Path, variables: &[(&str, &str)], batches: usize) {
    let server = Process::start_with(data, variables).await;
    let target = subscription("http://127.0.0.1:9/".to_owned(), &[1_000]);
    server.subscribe(target).await;
    server.publish_for_tomorrow(batches, 1_000).await;
    server.stop().await;
}

#[tokio::test]
async fn a_store_goes_through_every_engine_and_is_served_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let first = Place::embedded("sled", path("first"));
    let copies = [
        Place::database(path("second")).await,
        Place::embedded("fjall", path("third")),
        Place::embedded("sled", path("fourth")),
    ];
    let open = Arc::new(AtomicBool::new(false));
    let may = open.clone();
    let receiver = Receiver::start(move |request, _| {
        let now = request.path == "/now" || may.load(Ordering::Relaxed);
        Reply::status(if now { 204 } else { 503 })
    })
    .await;
    let server = first.serve().await;
    server
        .subscribe(subscription(receiver.url("/now"), &[]))
        .await;
    server
        .subscribe(subscription(receiver.url("/later"), &[200; 50]))
        .await;
    let (event_id, _) = publish_keyed(&server).await;
    receiver.wait_for(3).await;
    server.stop().await;

    let held = holds(&first.url).await;
    assert_eq!(held["due"], 1, "{held}");
    let mut source = &first;
    for target in &copies {
        copy(&source.url, &target.url).await;
        assert_eq!(holds(&target.url).await, held);
        let checked = succeed(&["check", &target.url]).await;
        assert!(checked.stdout.contains(": sound"), "{}", checked.stdout);
        source = target;
    }

    open.store(true, Ordering::Relaxed);
    for place in &copies {
        let before = receiver.received().len();
        let server = place.serve().await;
        let requests = receiver.wait_for(before + 1).await;
        let last = &requests[before];
        assert_eq!(last.path, "/later");
        assert_eq!(last.header("webhook-id"), event_id);
        let repeated = publish_keyed(&server).await;
        assert_eq!(repeated, (event_id.clone(), true));
        let attempts = attempts_of(&server, &event_id).await;
        assert!(attempts.len() >= 3, "{attempts:?}");
        server.stop().await;
        succeed(&["check", &place.url]).await;
    }
}

#[tokio::test]
async fn a_copy_that_was_killed_goes_on_and_is_not_served_before() {
    let folder = tempfile::tempdir().unwrap();
    let target = Place::embedded("sled", folder.path().join("b"));
    killed_copy_goes_on(&folder.path().join("a"), &target).await;
}

#[tokio::test]
async fn a_copy_into_a_database_that_was_killed_goes_on_and_is_not_served_before() {
    let folder = tempfile::tempdir().unwrap();
    let target = Place::database(folder.path().join("b")).await;
    killed_copy_goes_on(&folder.path().join("a"), &target).await;
}

async fn killed_copy_goes_on(source: &Path, target: &Place) {
    waiting(source, FJALL, 6).await;
    let from = format!("fjall:{}", source.display());
    let to = &target.url;
    let arguments = ["copy", "--from", &from, "--to", to];
    for _ in 0..2 {
        let mut copying = storage(&arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(copying.stderr.take().unwrap()).lines();
        // With the second chunk it is noted that the first one is there.
        let arrived = async {
            let mut chunks = 0;
            while chunks < 2 {
                let line = lines.next_line().await.unwrap();
                let line = line.expect("it tells of progress before it ends");
                chunks += usize::from(line.contains(" %: "));
            }
        };
        within("two chunks", arrived).await;
        copying.kill().await.unwrap();
        let log = target.refuse().await;
        assert!(log.contains("holds a part of fjall:"), "{log}");
        let refused = run(&["stats", to]).await;
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("goes on where it stopped"));
    }
    let resumed = copy(&from, to).await;
    assert!(
        resumed.stderr.contains("going on after"),
        "{}",
        resumed.stderr
    );
    let expected = holds(&from).await;
    assert_eq!(
        (&expected["events"], &expected["due"]),
        (&6_000.into(), &6_000.into())
    );
    assert_eq!(holds(to).await, expected);
    succeed(&["check", to]).await;
    target.serve().await.stop().await;

    let again = run(&arguments).await;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("in use already"), "{}", again.stderr);
}

#[tokio::test]
async fn a_store_that_is_served_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for place in [
        Place::embedded("sled", folder.path().join("sled")),
        Place::database(folder.path().join("unused")).await,
    ] {
        let server = place.serve().await;
        let elsewhere = format!("fjall:{}", folder.path().join("copy").display());
        for arguments in [
            &["stats", &place.url][..],
            &["check", &place.url],
            &["copy", "--from", &place.url, "--to", &elsewhere],
        ] {
            let refused = run(arguments).await;
            assert_eq!(refused.code, Some(1), "{arguments:?}");
            let why = "is in use by another process";
            assert!(refused.stderr.contains(why), "{}", refused.stderr);
        }
        assert!(!folder.path().join("copy").exists());
        server.stop().await;
        // Without a URL, the configured one.
        let stats = storage(&["stats"])
            .env("POSTRIDER_STORAGE_DATA_DIR", &place.data)
            .envs(place.variables())
            .output();
        assert!(stats.await.unwrap().status.success());
    }
}

#[tokio::test]
async fn what_names_no_store_is_refused_with_what_would() {
    let refused = run(&["copy", "--from", "data", "--to", "fjall:b"]).await;
    assert!(refused.stderr.contains("must be sled:PATH or fjall:PATH"));
    let refused = run(&["stats", "fjall:/nowhere/at/all"]).await;
    assert_eq!(
        refused.stderr,
        "postrider: there is no store in /nowhere/at/all\n"
    );
    for url in [
        "postgres://me:hush@127.0.0.1:1/events",
        "postgres://me:hush@",
    ] {
        let refused = run(&["check", url]).await;
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("postgres://"), "{}", refused.stderr);
        assert!(!refused.stderr.contains("hush"), "{}", refused.stderr);
    }
}
