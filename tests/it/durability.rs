//! What was due while the server was down happens after its start.

use std::{fs, path::Path};

use crate::support::{Process, Receiver, Reply, process::subscription, within};

#[tokio::test]
async fn a_retry_that_was_due_while_the_server_was_down_happens_after_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, n| Reply::status(if n == 0 { 500 } else { 200 })).await;
    let server = Process::start(folder.path()).await;
    server
        .subscribe(subscription(receiver.url("/"), &[500]))
        .await;
    let published = server.publish("a", "{}").await;
    receiver.wait_for(1).await;
    server.stop().await;

    let server = Process::start(folder.path()).await;
    let requests = receiver.wait_for(2).await;
    assert_eq!(requests[1].header("webhook-id"), published.event_id);
    server.stop().await;
}

#[tokio::test]
async fn a_server_whose_directory_is_moved_away_takes_nothing_more_and_ends() {
    for engine in ["sled", "fjall"] {
        let folder = tempfile::tempdir().unwrap();
        let engine = [("POSTRIDER_STORAGE_ENGINE", engine)];
        let data = folder.path().join("data");
        let server = Process::start_with(&data, &engine).await;
        server.publish("a", "{}").await;
        fs::rename(&data, folder.path().join("moved")).unwrap();
        let (status, log) = within("the end of the server", server.wait()).await;
        assert!(!status.success(), "{status}");
        let told = |line: &String| line.contains("was removed or moved away");
        assert!(log.iter().any(told), "{log:?}");
    }
}

#[tokio::test]
async fn a_store_that_lost_what_it_held_is_refused_until_that_is_accepted() {
    let engine = [("POSTRIDER_STORAGE_ENGINE", "fjall")];
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start_with(folder.path(), &engine).await;
    let published = server.publish("a", "{}").await;
    server.stop().await;
    let days = folder.path().join("days");
    let day = fs::read_dir(&days).unwrap().next().unwrap().unwrap().path();
    cut_journal(&day);

    let refused = Process::start_under(&[], folder.path(), &engine).await;
    let refused = refused.err().expect("it is refused");
    let commits = day.join("COMMITS");
    let way_out = format!("to go on without them, remove {}", commits.display());
    assert!(refused.contains(&way_out), "{refused}");

    fs::remove_file(commits).unwrap();
    let server = Process::start_with(folder.path(), &engine).await;
    let log = server.stop().await.join("\n");
    let lost = log.lines().find(|line| line.contains("is damaged"));
    let lost = lost.unwrap_or_else(|| panic!("{log}"));
    assert!(lost.contains(day.to_str().unwrap()), "{lost}");
    assert!(lost.contains(&published.event_id), "{lost}");
}

/// Cuts the last byte off the journal of a day, as if its last write had not
/// been finished.
fn cut_journal(day: &Path) {
    let path = day.join("0.jnl");
    let bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(end as u64).unwrap();
}
