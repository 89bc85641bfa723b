//! A store in a directory of its own, what publishes to it, and receivers.

use crate::support::keyring;
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use postrider::{
    dispatch::{Dispatcher, HttpTransport, Settings, start},
    domain::{
        Attributes, Clock, Delivery, DeliveryId, DeliveryState, Event, EventId, EventPatterns,
        Guard, LiveSecrets, Payload, Random, RetryPolicy, Schedule, Secret, State, StateCode,
        Subscription, SubscriptionId, SubscriptionSpec, TenantId, Timestamp, Trigger,
    },
    resolve::{self, Resolver},
    storage::{AcceptEvents, Engine, Routed, embedded},
};
use tokio::{net::TcpListener, sync::mpsc};

pub(super) const SOON: Duration = Duration::from_secs(20);

/// The time of a fixed date plus what has passed since the test began.
pub(super) struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_700_000_000).after(self.0.elapsed())
    }
}

/// A clock that is not answered by while somebody holds it.
#[derive(Default)]
pub(super) struct HeldClock(pub(super) Mutex<()>);

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        let _held = self.0.lock().unwrap();
        Timestamp::from_secs(1_700_000_000)
    }
}

pub(super) struct TestRandom(AtomicU64);

impl Random for TestRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            chunk.copy_from_slice(&next.to_be_bytes()[..chunk.len()]);
        }
    }
}

/// A store in a directory of its own, and what publishes to it.
pub(super) struct House {
    dir: tempfile::TempDir,
    pub(super) store: Arc<dyn Engine>,
    pub(super) clock: Arc<TestClock>,
    random: Arc<TestRandom>,
}

/// What calls this machine.
fn transport() -> HttpTransport {
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let resolver = Resolver::new(guard, &resolve::Settings::default()).unwrap();
    HttpTransport::new(resolver, Vec::new()).unwrap()
}

impl House {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(Instant::now()));
        Self {
            store: open(&dir, &clock).await,
            dir,
            clock,
            random: Arc::new(TestRandom(AtomicU64::new(1))),
        }
    }

    pub(super) fn dispatch(&self) -> Dispatcher {
        self.dispatch_by(self.clock.clone())
    }

    pub(super) fn dispatch_by(&self, clock: Arc<dyn Clock>) -> Dispatcher {
        start(
            Arc::clone(&self.store),
            Arc::new(transport()),
            clock,
            self.random.clone(),
            Settings::default(),
        )
    }

    pub(super) async fn reopen(&mut self) {
        self.store.close().await;
        self.store = open(&self.dir, &self.clock).await;
    }

    pub(super) async fn subscribe(&self, url: String, delays: &[u64]) -> Arc<Subscription> {
        self.create(url, delays, self.clock.now()).await
    }

    /// Subscribes without retries, as if so long ago.
    pub(super) async fn subscribe_before(&self, url: String, ago: Duration) -> Arc<Subscription> {
        self.create(url, &[], self.clock.now().before(ago)).await
    }

    async fn create(&self, url: String, delays: &[u64], now: Timestamp) -> Arc<Subscription> {
        let patterns = EventPatterns::new(vec!["*".parse().unwrap()]).unwrap();
        let delays = delays.iter().map(|ms| Duration::from_millis(*ms)).collect();
        let retry_policy = RetryPolicy::new(Schedule::Delays(delays), None, None).unwrap();
        let spec = SubscriptionSpec {
            retry_policy,
            ..SubscriptionSpec::new(url.parse().unwrap(), patterns)
        };
        let subscription = Subscription::new(
            SubscriptionId::new(now, self.random.bits()),
            TenantId::default(),
            spec,
            LiveSecrets::new(Secret::generate([7; 32])),
            now,
        );
        self.store
            .create_subscription(subscription.clone(), None, None)
            .await
            .unwrap();
        Arc::new(subscription)
    }

    pub(super) async fn set_state(&self, id: SubscriptionId, state: State) {
        let current = self.store.find_subscription(id).await.unwrap().unwrap();
        let now = self.clock.now();
        let changed = current.with_state(state, StateCode::Requested, String::new(), now);
        self.store
            .replace_subscription(changed, current.version)
            .await
            .unwrap();
    }

    /// Publishes so many events to a subscription.
    pub(super) async fn publish(
        &self,
        to: SubscriptionId,
        count: usize,
        delay: Duration,
    ) -> Vec<DeliveryId> {
        let mut ids = Vec::new();
        let mut events = Vec::new();
        for _ in 0..count {
            let now = self.clock.now();
            let event = Event {
                id: EventId::new(now, self.random.bits()),
                tenant: TenantId::default(),
                event_type: "order.shipped".parse().unwrap(),
                payload: Payload::new(Bytes::from("{}"), "application/json".parse().unwrap())
                    .unwrap(),
                idempotency_key: None,
                ordering_key: None,
                attributes: Attributes::default(),
                deliver_after: Some(now.after(delay)),
                erase_time: None,
                create_time: now,
            };
            ids.push(DeliveryId::new(event.id, 0));
            events.push(Routed {
                event: Arc::new(event),
                subscriptions: vec![to],
                trigger: Trigger::Event,
            });
        }
        let accept = AcceptEvents {
            tenant: TenantId::default(),
            routed_at: None,
            events,
        };
        self.store.accept_events(accept).await.unwrap();
        ids
    }

    pub(super) async fn publish_one(&self, to: SubscriptionId) -> DeliveryId {
        self.publish(to, 1, Duration::ZERO).await[0]
    }

    /// The delivery, once it is in this state.
    pub(super) async fn delivery_when(&self, id: DeliveryId, state: DeliveryState) -> Delivery {
        let mut log_end = self.store.log_end();
        let reached = async {
            loop {
                let delivery = self.store.delivery(&TenantId::default(), id).await.unwrap();
                if delivery.state == state {
                    return delivery;
                }
                // Every change of a state comes with an attempt, but for the
                // ones that the test makes itself.
                let _ = tokio::time::timeout(Duration::from_millis(50), log_end.changed()).await;
            }
        };
        tokio::time::timeout(SOON, reached)
            .await
            .expect("delivery should get into the state")
    }
}

async fn open(dir: &tempfile::TempDir, clock: &Arc<TestClock>) -> Arc<dyn Engine> {
    let settings = embedded::Settings {
        adapter: embedded::Adapter::Sled,
        dir: dir.path().join("data"),
        cache_bytes: embedded::Settings::DEFAULT_CACHE_BYTES,
        keyring: keyring(),
    };
    embedded::open(settings, clock.clone()).await.unwrap()
}

/// A request as a receiver got it.
pub(super) struct Got {
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) at: Instant,
}

/// A receiver whose answers a function chooses by the count of the attempt.
pub(super) async fn receiver(
    answer: impl Fn(u32) -> http::Response<Full<Bytes>> + Send + Sync + Clone + 'static,
) -> (String, mpsc::UnboundedReceiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, got) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (sender, answer) = (sender.clone(), answer.clone());
            let service = service_fn(move |request: http::Request<Incoming>| {
                let (sender, answer) = (sender.clone(), answer.clone());
                async move {
                    let at = Instant::now();
                    let text = |name| request.headers()[name].to_str().unwrap().to_owned();
                    let attempt = text("webhook-attempt").parse().unwrap();
                    let id = text("webhook-id");
                    let _ = request.into_body().collect().await;
                    let _ = sender.send(Got { id, attempt, at });
                    Ok::<_, Infallible>(answer(attempt))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (url, got)
}

pub(super) fn status(status: u16) -> http::Response<Full<Bytes>> {
    let mut response = http::Response::new(Full::default());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response
}

/// A receiver that accepts and never answers.
pub(super) async fn hanging() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            open.push(accepted);
        }
    });
    format!("http://{address}/")
}

pub(super) async fn next(got: &mut mpsc::UnboundedReceiver<Got>) -> Got {
    tokio::time::timeout(SOON, got.recv())
        .await
        .expect("a request should come")
        .unwrap()
}
