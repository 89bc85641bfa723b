//! A full disk is a pause: on a real file system that is filled to the brim.

use std::{
    collections::HashSet,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use postrider::proto::{Event, GetEventRequest, PublishEventRequest, PublishEventResponse, event};
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::crash::plan::Dice;
use crate::support::{Process, Receiver, Reply, eventually, process::subscription};

const ROUNDS: usize = 3;

/// A small file system of its own.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(
            mounted
                .as_ref()
                .is_ok_and(std::process::ExitStatus::success),
            "this test needs a small file system: run it as root, or in a container with \
             CAP_SYS_ADMIN ({mounted:?})"
        );
        Self(folder)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Takes everything that is free.
    fn fill(&self) -> Filler {
        let path = self.0.path().join("filler");
        let mut file = File::create(&path).unwrap();
        for chunk in [vec![0; 1 << 20], vec![0; 4096]] {
            while file.write_all(&chunk).is_ok() {}
        }
        Filler(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

struct Filler(PathBuf);

impl Filler {
    fn remove(self) {
        std::fs::remove_file(self.0).unwrap();
    }
}

async fn publish(server: &Process) -> Result<PublishEventResponse, Status> {
    publish_of(server, "{\"n\":1}".to_owned()).await
}

async fn publish_of(server: &Process, json: String) -> Result<PublishEventResponse, Status> {
    let request = PublishEventRequest {
        event: Some(Event {
            r#type: "disk.used".to_owned(),
            payload: Some(event::Payload::Data(json.into())),
            ..Default::default()
        }),
    };
    let reply = server.events().publish_event(request).await;
    reply.map(tonic::Response::into_inner)
}

/// Sixty thousand bytes that nothing makes smaller.
fn large_payload(dice: &mut Dice) -> String {
    let numbers = (0..3_750).map(|_| format!("{:016x}", dice.throw()));
    format!("\"{}\"", numbers.collect::<String>())
}

async fn readiness(server: &Process) -> ServingStatus {
    let request = HealthCheckRequest {
        service: "readiness".to_owned(),
    };
    let reply = HealthClient::new(server.channel()).check(request).await;
    reply.unwrap().into_inner().status()
}

fn is_used(data: &Path) -> bool {
    data.join("RESERVE").exists()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_a_pause() {
    let disk = SmallDisk::mount();
    // Every other delivery fails once, so there are results to be recorded
    // while the disk is full.
    let receiver = Receiver::start(|request, _| {
        let first = request.header("webhook-attempt") == "1";
        let fails = first && fails_once(request.header("webhook-id"));
        Reply::status(if fails { 500 } else { 200 })
    })
    .await;
    let mut server = Process::start(&disk.data()).await;
    server
        .subscribe(subscription(receiver.url("/"), &[700; 20]))
        .await;
    let mut accepted = HashSet::new();
    for round in 0..ROUNDS {
        eventually("the reserve", async || is_used(&disk.data()).then_some(())).await;
        let mut published = Vec::new();
        for _ in 0..100 {
            published.push(publish(&server).await.unwrap().event_id);
        }
        let filler = disk.fill();

        let refused = eventually("a refusal", async || publish(&server).await.err()).await;
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        assert!(refused.get_details_retry_info().is_some());
        assert_eq!(readiness(&server).await, ServingStatus::NotServing);
        let id = published[0].clone();
        let request = GetEventRequest {
            id,
            ..Default::default()
        };
        server.events().get_event(request).await.unwrap();
        accepted.extend(published);
        // All attempts, the second ones long after the disk filled.
        let failures = accepted.iter().filter(|id| fails_once(id)).count();
        receiver.wait_for(accepted.len() + failures).await;

        if round == 1 {
            // Opening has to find room too.
            server.kill().await;
            server = Process::start(&disk.data()).await;
            assert_eq!(readiness(&server).await, ServingStatus::NotServing);
        }
        filler.remove();
        let since = Instant::now();
        let id = eventually("writes to return", async || publish(&server).await.ok()).await;
        accepted.insert(id.event_id);
        eventually("readiness", async || {
            (readiness(&server).await == ServingStatus::Serving).then_some(())
        })
        .await;
        assert!(since.elapsed() < Duration::from_secs(5));
    }
    eventually("every accepted event", async || {
        let requests = receiver.received();
        let succeeded: HashSet<_> = requests
            .iter()
            .filter(|request| {
                let first = request.header("webhook-attempt") == "1";
                !first || !fails_once(request.header("webhook-id"))
            })
            .map(|request| request.header("webhook-id").to_owned())
            .collect();
        accepted.is_subset(&succeeded).then_some(())
    })
    .await;
    server.stop().await;
}

/// What the engine writes by itself, to merge what it holds, has to find room
/// as well, or go on once there is some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_while_the_engine_tidies_up_is_a_pause() {
    for engine in ["sled", "fjall"] {
        let disk = SmallDisk::mount();
        let receiver = Receiver::accepting().await;
        let engine = [("POSTRIDER_STORAGE_ENGINE", engine)];
        let server = Process::start_with(&disk.data(), &engine).await;
        server.subscribe(subscription(receiver.url("/"), &[])).await;
        let mut accepted = HashSet::new();
        let mut dice = Dice::new(7, 0);
        for _ in 0..ROUNDS {
            let after = Duration::from_millis(dice.below(500));
            let fill = async {
                tokio::time::sleep(after).await;
                disk.fill()
            };
            let (published, filler) = tokio::join!(publish_large(&server, &mut dice, 60), fill);
            accepted.extend(published);
            tokio::time::sleep(Duration::from_secs(1)).await;
            filler.remove();
            let published = eventually("writes to return", async || publish(&server).await.ok());
            accepted.insert(published.await.event_id);
        }
        let mut published = publish_large(&server, &mut dice, 100).await;
        while !published.is_empty() {
            accepted.extend(published);
            published = publish_large(&server, &mut dice, 100).await;
        }
        eventually("every accepted event", async || {
            let requests = receiver.received();
            let delivered = requests.iter().map(|request| request.header("webhook-id"));
            let delivered: HashSet<_> = delivered.map(str::to_owned).collect();
            accepted.is_subset(&delivered).then_some(())
        })
        .await;
        server.stop().await;
    }
}

/// Publishes so many large events, four at a time; the ids of those accepted.
async fn publish_large(server: &Process, dice: &mut Dice, events: usize) -> Vec<String> {
    let publishing = (0..events).map(|_| publish_of(server, large_payload(dice)));
    stream::iter(publishing)
        .buffer_unordered(4)
        .filter_map(async |published| published.ok().map(|published| published.event_id))
        .collect()
        .await
}

/// Whether the endpoint refuses the first attempt of this event.
fn fails_once(event_id: &str) -> bool {
    let sum: u32 = event_id.bytes().map(u32::from).sum();
    sum.is_multiple_of(2)
}
