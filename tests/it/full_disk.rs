//! A full disk is a pause: on a real file system that is filled to the brim.

use std::{
    collections::HashSet,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use postrider::proto::{Event, GetEventRequest, PublishEventRequest, PublishEventResponse, event};
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

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
    let request = PublishEventRequest {
        event: Some(Event {
            r#type: "disk.used".to_owned(),
            payload: Some(event::Payload::Data("{\"n\":1}".into())),
            ..Default::default()
        }),
    };
    let reply = server.events().publish_event(request).await;
    reply.map(tonic::Response::into_inner)
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

/// Whether the endpoint refuses the first attempt of this event.
fn fails_once(event_id: &str) -> bool {
    let sum: u32 = event_id.bytes().map(u32::from).sum();
    sum.is_multiple_of(2)
}
