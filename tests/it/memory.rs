//! Memory is bounded, whatever the backlog.

use crate::support::{Process, process::subscription};

const SUBSCRIPTIONS: usize = 50;
const BATCH: usize = 20;

#[tokio::test]
async fn what_waits_for_many_subscriptions_is_not_kept_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    for n in 0..SUBSCRIPTIONS {
        let url = format!("http://127.0.0.1:9/{n}");
        server.subscribe(subscription(url, &[1_000])).await;
    }
    server.publish_for_tomorrow(10, BATCH).await;
    let before = server.peak_memory();
    server.publish_for_tomorrow(50, BATCH).await;
    let growth = server.peak_memory().saturating_sub(before);
    // sled alone left 6.6 KiB behind for each of the 50,000 deliveries.
    let most = 96 * 1024 * 1024;
    assert!(growth < most, "memory grew by {growth} bytes");
    server.stop().await;
}
