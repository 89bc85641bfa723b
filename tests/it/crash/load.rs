//! Publishers of every kind, which go on until the server is gone.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, TryStreamExt, future::BoxFuture, stream};
use postrider::proto::{
    BatchPublishEventsRequest, PublishEventRequest, StreamPublishEventsRequest,
    stream_publish_events_response::Result as StreamResult,
};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use super::{Scene, fleet::Target, payload};
use crate::support::Process;

/// Acknowledged events that the steady endpoint may be behind.
const BACKLOG: usize = 1_500;
const UNARY: u64 = 6;
/// Events of a stream that wait for their answer.
const WINDOW: usize = 16;
/// How soon a publisher comes again that was refused.
const PAUSE: Duration = Duration::from_millis(20);

/// Publishes that were refused.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Refused>);

#[derive(Debug, Default)]
struct Refused {
    gone: Option<Instant>,
    count: u64,
    slowest: Duration,
}

impl Refusals {
    /// Notes that the database is gone from now on.
    pub fn gone(&self) {
        self.0.lock().unwrap().gone = Some(Instant::now());
    }

    /// Notes a refusal. What was sent before the database was gone could not be
    /// refused before that.
    fn note(&self, began: Instant) {
        let mut seen = self.0.lock().unwrap();
        let began = seen.gone.map_or(began, |gone| gone.max(began));
        seen.count += 1;
        seen.slowest = began.elapsed().max(seen.slowest);
    }

    /// How many there were, and what the slowest took.
    pub fn seen(&self) -> (u64, Duration) {
        let seen = self.0.lock().unwrap();
        (seen.count, seen.slowest)
    }
}

/// Starts everything that a server is under.
pub fn start(scene: &Arc<Scene>, target: &Target) -> JoinSet<()> {
    let mut load = JoinSet::new();
    let mut keep = |work: Box<Work>| load.spawn(keep_at(scene.clone(), target.clone(), work));
    keep(Box::new(|scene, target| {
        async move {
            let tail = &scene.tails[target.place];
            tokio::select! {
                ended = tail.go_on(&target.server) => ended,
                () = target.ending.cancelled() => Ok(()),
            }
        }
        .boxed()
    }));
    if target.place == 0 {
        keep(Box::new(|scene, target| {
            let dice = target.dice(&scene, 200);
            async move { scene.churn.go_on(&scene, &target, dice).await }.boxed()
        }));
    }
    for n in 0..UNARY {
        keep(Box::new(move |scene, target| {
            async move { unary(&scene, &target, n).await }.boxed()
        }));
    }
    keep(Box::new(|scene, target| {
        async move { batches(&scene, &target).await }.boxed()
    }));
    keep(Box::new(|scene, target| {
        async move { streamed(&scene, &target).await }.boxed()
    }));
    let (scene, target) = (scene.clone(), target.clone());
    load.spawn(async move { gone(repeat_cut(&scene, &target.server).await) });
    load
}

type Work = dyn Fn(Arc<Scene>, Target) -> BoxFuture<'static, Result<(), Status>> + Send + Sync;

/// Works until the server is gone; where servers stay, until the load ends.
async fn keep_at(scene: Arc<Scene>, target: Target, work: Box<Work>) {
    loop {
        let ended = work(scene.clone(), target.clone()).await;
        if !scene.plan.servers_stay() {
            return gone(ended);
        }
        if target.ending.is_cancelled() {
            return;
        }
        if let Err(status) = ended {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        }
        sleep(PAUSE).await;
    }
}

/// Publishes those again whose reply was cut, with their keys.
pub async fn repeat_cut(scene: &Scene, server: &Process) -> Result<usize, Status> {
    let cut = scene.ledger.cut();
    let repeats = stream::iter(cut.iter().map(Ok));
    let repeat = |n: &u64| {
        let (n, mut events) = (*n, server.events());
        async move { publish(scene, &mut events, n, true).await }
    };
    repeats.try_for_each_concurrent(WINDOW, repeat).await?;
    Ok(cut.len())
}

/// The answer to a publish, if it was not refused for too many changes of
/// subscriptions. What refuses it while the database is gone says so as a server
/// does, with a time to come again.
async fn answer<T>(
    scene: &Scene,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Option<T>, Status> {
    let began = Instant::now();
    let status = match call.await {
        Ok(reply) => return Ok(Some(reply.into_inner())),
        Err(status) => status,
    };
    let contended = scene.plan.is_shared() && status.code() == Code::Aborted;
    if contended || scene.plan.servers_stay() {
        assert!(status.get_details_retry_info().is_some(), "{status:?}");
    }
    if contended {
        return Ok(None);
    }
    if scene.plan.servers_stay() {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        scene.refusals.note(began);
    }
    Err(status)
}

type Events = postrider::proto::event_service_client::EventServiceClient<tonic::transport::Channel>;
type Ended = Result<(), Status>;

/// Publishes the event of a number.
pub async fn publish(scene: &Scene, events: &mut Events, n: u64, keyed: bool) -> Ended {
    let request = PublishEventRequest {
        event: Some(payload::event(n, keyed)),
    };
    if let Some(reply) = answer(scene, events.publish_event(request)).await? {
        scene.ledger.acknowledge(n, reply);
    }
    Ok(())
}

async fn unary(scene: &Scene, target: &Target, number: u64) -> Ended {
    let (mut events, mut dice) = (target.server.events(), target.dice(scene, number));
    loop {
        pace(scene, target).await?;
        if dice.once_in(20)
            && let Some(n) = scene.ledger.acknowledged_key_near(dice.throw())
        {
            publish(scene, &mut events, n, true).await?;
        }
        let keyed = dice.once_in(2);
        let n = scene.ledger.sends(keyed);
        publish(scene, &mut events, n, keyed).await?;
    }
}

async fn batches(scene: &Scene, target: &Target) -> Ended {
    let (mut events, mut dice) = (target.server.events(), target.dice(scene, 100));
    loop {
        pace(scene, target).await?;
        let keyed = dice.once_in(2);
        let numbers = scene.ledger.sends_batch(keyed, 2 + dice.below(10));
        let request = BatchPublishEventsRequest {
            events: numbers.iter().map(|n| payload::event(*n, keyed)).collect(),
        };
        if let Some(reply) = answer(scene, events.batch_publish_events(request)).await? {
            assert_eq!(reply.results.len(), numbers.len());
            for (n, result) in numbers.into_iter().zip(reply.results) {
                scene.ledger.acknowledge(n, result);
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn streamed(scene: &Scene, target: &Target) -> Ended {
    let (mut events, mut dice) = (target.server.events(), target.dice(scene, 101));
    let (requests, waiting) = mpsc::channel(WINDOW);
    let feed = async {
        loop {
            pace(scene, target).await?;
            let keyed = dice.once_in(2);
            let n = scene.ledger.sends(keyed);
            let request = StreamPublishEventsRequest {
                sequence: n,
                event: Some(payload::event(n, keyed)),
            };
            if requests.send(request).await.is_err() {
                return Err(Status::unavailable("the stream ended"));
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    let answers = async {
        let stream = events.stream_publish_events(ReceiverStream::new(waiting));
        let mut answers = stream.await?.into_inner();
        while let Some(answer) = answers.message().await? {
            match answer.result {
                Some(StreamResult::Accepted(reply)) => {
                    scene.ledger.acknowledge(answer.sequence, reply);
                }
                // A refusal acknowledges nothing.
                Some(StreamResult::Refused(refusal)) => {
                    let contended = scene.plan.is_shared() && refusal.reason == "CONTENDED";
                    let gone = refusal.code == Code::Unavailable as i32;
                    assert!(contended || gone, "{refusal:?}");
                }
                None => panic!("an answer without a result"),
            }
        }
        Err(Status::unavailable("the stream ended"))
    };
    tokio::select! {
        ended = feed => ended,
        ended = answers => ended,
    }
}

/// Waits while the receivers are far behind; fails once the load ends.
async fn pace(scene: &Scene, target: &Target) -> Ended {
    loop {
        if target.ending.is_cancelled() {
            return Err(Status::cancelled("the load ends"));
        }
        if scene.ledger.acknowledged() <= scene.receipts.taken_at_steady() + BACKLOG {
            return Ok(());
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Sees that a call failed because the server was gone, and for no other
/// reason.
fn gone<T>(ended: Result<T, Status>) {
    if let Err(status) = ended {
        let expected = [
            Code::Unavailable,
            Code::Unknown,
            Code::Cancelled,
            Code::Internal,
        ];
        assert!(expected.contains(&status.code()), "{status:?}");
    }
}
