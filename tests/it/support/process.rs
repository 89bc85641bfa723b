//! The real binary, started, watched and ended as an operator would.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use postrider::{
    bootstrap::SystemClock,
    domain::Clock,
    proto::{
        BatchPublishEventsRequest, CreateSubscriptionRequest, Event, PublishEventRequest,
        PublishEventResponse, Subscription, delivery_service_client::DeliveryServiceClient, event,
        event_service_client::EventServiceClient, replay_service_client::ReplayServiceClient,
        subscription_service_client::SubscriptionServiceClient,
    },
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};
use tonic::transport::Channel;

use super::{Dns, PATIENCE, within};

/// What the servers of the tests keep secrets by.
pub const ROOT_KEY: &str = "cm9vdCBrZXkgb2YgdGhlIHRlc3RzLCAzMiBieXRlcyE=";

/// A running `postrider serve`.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: String,
    channel: Channel,
    log: JoinHandle<Vec<String>>,
}

/// The binary under test.
pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_postrider"))
}

impl Process {
    /// Starts the server on a data folder and waits until it listens.
    pub async fn start(data: &Path) -> Self {
        Self::start_with(data, &[]).await
    }

    /// Starts it with further environment variables.
    pub async fn start_with(data: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_under(&[], data, variables)
            .await
            .unwrap_or_else(|log| panic!("the server ended: {log}"))
    }

    /// Starts it under another command; fails with its log if it ends before it
    /// listens.
    pub async fn start_under(
        launcher: &[String],
        data: &Path,
        variables: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut child = command(launcher, data, variables)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        // fjall seeks once for each row of its journal, which takes seven times
        // as long under strace: 7 s for 50 MB.
        let patience = if launcher.is_empty() {
            PATIENCE
        } else {
            5 * PATIENCE
        };
        let listens = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let address = address_of(&line);
                seen.push(line);
                if address.is_some() {
                    return address;
                }
            }
            None
        };
        let waited = timeout(patience, listens).await;
        let Ok(address) = waited else {
            panic!("the server does not listen after {patience:?}: {seen:?}");
        };
        let Some(address) = address else {
            within("the process to end", child.wait()).await.unwrap();
            return Err(seen.join("\n"));
        };
        let log = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                seen.push(line);
            }
            seen
        });
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        Ok(Self {
            child,
            address,
            channel: endpoint.connect_lazy(),
            log,
        })
    }

    /// Starts it and kills it so much later, wherever it is then.
    pub async fn kill_after(data: &Path, variables: &[(&str, &str)], time: Duration) {
        let mut child = command(&[], data, variables)
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        tokio::time::sleep(time).await;
        child.kill().await.expect("the process lives");
    }

    /// A client of `SubscriptionService`.
    pub fn subscriptions(&self) -> SubscriptionServiceClient<Channel> {
        SubscriptionServiceClient::new(self.channel.clone())
    }

    /// A client of `EventService`.
    pub fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone())
    }

    /// A client of `DeliveryService`.
    pub fn deliveries(&self) -> DeliveryServiceClient<Channel> {
        DeliveryServiceClient::new(self.channel.clone())
    }

    /// A client of `ReplayService`.
    pub fn replays(&self) -> ReplayServiceClient<Channel> {
        ReplayServiceClient::new(self.channel.clone())
    }

    /// The connection, for other clients.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Creates a subscription.
    pub async fn subscribe(&self, subscription: Subscription) -> Subscription {
        let request = CreateSubscriptionRequest {
            subscription: Some(subscription),
            ..Default::default()
        };
        let reply = self.subscriptions().create_subscription(request).await;
        reply.expect("the subscription is valid").into_inner()
    }

    /// Publishes a JSON event.
    pub async fn publish(&self, event_type: &str, json: &str) -> PublishEventResponse {
        let request = PublishEventRequest {
            event: Some(Event {
                r#type: event_type.to_owned(),
                payload: Some(event::Payload::Data(json.to_owned().into())),
                ..Default::default()
            }),
        };
        let reply = self.events().publish_event(request).await;
        reply.expect("the event is valid").into_inner()
    }

    /// Publishes so many batches of events that are due in a day.
    pub async fn publish_for_tomorrow(&self, batches: usize, size: usize) {
        let tomorrow = SystemClock.now().after(Duration::from_hours(24));
        let event = Event {
            r#type: "order.late".to_owned(),
            payload: Some(event::Payload::Data("{\"n\":1}".into())),
            deliver_after: Some(prost_types::Timestamp {
                seconds: tomorrow.as_secs().cast_signed(),
                nanos: 0,
            }),
            ..Default::default()
        };
        for _ in 0..batches {
            let events = vec![event.clone(); size];
            let request = BatchPublishEventsRequest { events };
            let reply = self.events().batch_publish_events(request).await;
            reply.expect("the events are valid");
        }
    }

    /// Most bytes of memory that it ever had.
    pub fn peak_memory(&self) -> u64 {
        let id = self.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        kib.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The number that the system knows it by.
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process lives")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("the process is not waited for yet");
        let pid = Pid::from_raw(id.cast_signed()).unwrap();
        kill_process(pid, signal).expect("the process lives");
    }

    /// Waits for its end and returns the status and the log.
    pub async fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let status = within("the process to end", self.child.wait()).await;
        (status.unwrap(), self.log.await.unwrap())
    }

    /// Asks it to end, and sees that it does so well.
    pub async fn stop(self) -> Vec<String> {
        self.signal(Signal::TERM);
        let (status, log) = self.wait().await;
        assert!(status.success(), "{status}: {}", log.join("\n"));
        log
    }

    /// Ends it as a crash would.
    pub async fn kill(self) {
        self.signal(Signal::KILL);
        self.wait().await;
    }
}

/// A subscription to every event with a schedule of delays in milliseconds.
pub fn subscription(url: String, delays_ms: &[i64]) -> Subscription {
    use postrider::proto::{RetryDelays, RetryPolicy, retry_policy::Schedule};
    let delays = delays_ms.iter().map(|ms| prost_types::Duration {
        seconds: ms / 1_000,
        nanos: i32::try_from(ms % 1_000 * 1_000_000).unwrap(),
    });
    Subscription {
        url,
        events: vec!["*".to_owned()],
        retry_policy: Some(RetryPolicy {
            schedule: Some(Schedule::Delays(RetryDelays {
                delays: delays.collect(),
            })),
            jitter: Some(0.0),
            max_age: None,
        }),
        ..Default::default()
    }
}

fn command(launcher: &[String], data: &Path, variables: &[(&str, &str)]) -> Command {
    let mut words = launcher.iter().map(OsString::from);
    let mut command = match words.next() {
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(binary());
            command
        }
        None => Command::new(binary()),
    };
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
        .arg("--data-dir")
        .arg(data)
        // Most tests are about something else.
        .env("POSTRIDER_AUTH_MODE", "none")
        .env("POSTRIDER_SECRETS_KEY", ROOT_KEY)
        .env("POSTRIDER_DELIVERY_ALLOW", "127.0.0.0/8")
        .env(
            "POSTRIDER_DELIVERY_NAMESERVERS",
            Dns::of_nobody().address.to_string(),
        )
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    command
}

fn address_of(line: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let listening = event["message"] == "listening";
    listening.then(|| event["address"].as_str().unwrap_or_default().to_owned())
}
