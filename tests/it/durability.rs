//! What was due while the server was down happens after its start.

use crate::support::{Process, Receiver, Reply, process::subscription};

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
