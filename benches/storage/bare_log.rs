//! The limit: a log that appends what has gathered and syncs it, and knows
//! nothing of what it holds.

use std::{
    fs::File,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep,
};

use crate::{MEASURED, PRODUCERS, WARM_UP};

/// An event and its delivery, without keys.
const RECORD: usize = 640;

/// Appends a second.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 events")]
pub async fn measure() -> f64 {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = File::create(dir.path().join("log")).unwrap();
    let (writes, waiting) = mpsc::channel(1_024);
    let appending = thread::spawn(move || write(file, waiting));
    let done = Arc::new(AtomicU64::new(0));
    let mut producers = JoinSet::new();
    for _ in 0..PRODUCERS {
        let (writes, done) = (writes.clone(), Arc::clone(&done));
        producers.spawn(async move {
            loop {
                let (reply, answer) = oneshot::channel();
                writes.send((vec![7; RECORD], reply)).await.unwrap();
                answer.await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    drop(writes);
    sleep(WARM_UP).await;
    let before = done.load(Ordering::Relaxed);
    sleep(MEASURED).await;
    let count = done.load(Ordering::Relaxed) - before;
    producers.shutdown().await;
    tokio::task::spawn_blocking(|| appending.join().unwrap())
        .await
        .unwrap();
    count as f64 / MEASURED.as_secs_f64()
}

fn write(mut file: File, mut waiting: mpsc::Receiver<(Vec<u8>, oneshot::Sender<()>)>) {
    while let Some((mut group, reply)) = waiting.blocking_recv() {
        let mut replies = vec![reply];
        while let Ok((record, reply)) = waiting.try_recv() {
            group.extend(record);
            replies.push(reply);
        }
        file.write_all(&group).unwrap();
        file.sync_data().unwrap();
        for reply in replies {
            // Nobody waits any more once the time is over.
            let _ = reply.send(());
        }
    }
}
