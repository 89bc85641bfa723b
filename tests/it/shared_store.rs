//! The program on a PostgreSQL database: it migrates, and any number of
//! processes serve from it.

use std::{collections::BTreeSet, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::support::{
    Cluster, Fsync, Process, Receiver,
    process::{binary, subscription},
    within,
};

const PASSWORD: &str = "hush-hush";

/// Published in turn by two processes.
const EVENTS: usize = 50;

/// The environment that names a database, with a password.
fn environment(url: &str) -> [(&'static str, String); 2] {
    let url = url.replace("postgres@", &format!("postgres:{PASSWORD}@"));
    [
        ("POSTRIDER_STORAGE_ENGINE", "postgres".to_owned()),
        ("POSTRIDER_STORAGE_URL", url),
    ]
}

fn migrate(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .arg("migrate")
        .args(arguments)
        .envs(environment(url))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// What a call of `postrider migrate` ends with and says.
async fn said(url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut migrate = migrate(url, arguments);
    let output = within("the command to end", migrate.output())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, error) = (text(output.stdout), text(output.stderr));
    assert!(!error.contains(PASSWORD), "{error}");
    (output.status.code(), out, error)
}

#[tokio::test]
async fn migrate_says_what_is_missing_and_applies_it_once() {
    let (shown, url) = Cluster::shared().bare_database().await;
    let (code, out, error) = said(&url, &["--check"]).await;
    assert_eq!((code, out.as_str()), (Some(3), ""));
    let missing = format!(
        "postrider: {shown} lacks migrations: 0001_store, 0002_erasure, 0003_replay, 0004_order, \
         0006_stats, 0007_api_keys, 0008_root_key; run `postrider migrate`\n"
    );
    assert!(error.ends_with(&missing), "{error}");

    let (code, out, _) = said(&url, &[]).await;
    assert_eq!(code, Some(0));
    assert_eq!(
        out,
        "applied 0001_store\napplied 0002_erasure\napplied 0003_replay\napplied 0004_order\n\
         applied 0006_stats\napplied 0007_api_keys\napplied 0008_root_key\nthe schema is up to date\n"
    );
    for arguments in [&[][..], &["--check"]] {
        let (code, out, _) = said(&url, arguments).await;
        assert_eq!(code, Some(0));
        assert_eq!(out, "the schema is up to date\n");
    }
}

#[tokio::test]
async fn migrate_waits_for_a_database_as_long_as_it_is_told_to() {
    let cluster = Cluster::start(Fsync::Off);
    let (_, url) = cluster.bare_database().await;
    cluster.crash();
    let (code, _, error) = said(&url, &[]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("store cannot be reached"), "{error}");

    let mut waiting = migrate(&url, &["--wait-for", "30s"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines();
    within("it to wait", async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("database is waited for") {
                return;
            }
        }
        panic!("it ended");
    })
    .await;
    cluster.start_again();
    let ended = within("it to migrate", waiting.wait()).await;
    assert!(ended.unwrap().success());
}

#[tokio::test]
async fn two_processes_deliver_each_event_once_and_show_no_password() {
    let (_, url) = Cluster::shared().bare_database().await;
    let environment = environment(&url);
    let variables: Vec<_> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let unused = tempfile::tempdir().unwrap();
    let one = Process::start_with(unused.path(), &variables).await;
    let other = Process::start_with(unused.path(), &variables).await;
    let receiver = Receiver::accepting().await;
    one.subscribe(subscription(receiver.url("/hook"), &[50]))
        .await;

    for number in 0..EVENTS {
        let server = if number % 2 == 0 { &one } else { &other };
        let json = format!("{{\"n\":{number}}}");
        let event = server.publish("order.shipped", &json).await;
        assert_eq!(event.delivery_count, 1);
    }
    receiver.wait_for(EVENTS).await;
    for server in [one, other] {
        let log = server.stop().await.join("\n");
        assert!(!log.contains(PASSWORD), "{log}");
    }
    let requests = receiver.received();
    assert_eq!(requests.len(), EVENTS);
    let ids = requests.iter().map(|request| request.header("webhook-id"));
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), EVENTS);
}
