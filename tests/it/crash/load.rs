//! Publishers of every kind, which go on until the server is gone.

use std::{sync::Arc, time::Duration};

use postrider::proto::{
    BatchPublishEventsRequest, PublishEventRequest, StreamPublishEventsRequest,
    stream_publish_events_response::Result as StreamResult,
};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::{Scene, payload, plan::Dice};
use crate::support::Process;

/// Acknowledged events that the steady endpoint may be behind.
const BACKLOG: usize = 1_500;
const UNARY: u64 = 6;
/// Events of a stream that wait for their answer.
const WINDOW: usize = 16;

/// Starts the publishers.
pub fn start(scene: &Arc<Scene>, server: &Process, load: &mut JoinSet<()>) {
    for n in 0..UNARY {
        let (scene, events) = (scene.clone(), server.events());
        let dice = scene.dice(n);
        load.spawn(async move { gone(unary(&scene, events, dice).await) });
    }
    let (copy, events) = (scene.clone(), server.events());
    load.spawn(async move { gone(batches(&copy, events, copy.dice(100)).await) });
    let (copy, events) = (scene.clone(), server.events());
    load.spawn(async move { gone(stream(&copy, events, copy.dice(101)).await) });
}

/// Publishes those again whose reply was cut, with their keys.
pub async fn repeat_cut(scene: &Scene, server: &Process) -> Result<usize, Status> {
    let cut = scene.ledger.cut();
    for n in &cut {
        publish(scene, &mut server.events(), *n, true).await?;
    }
    Ok(cut.len())
}

type Events = postrider::proto::event_service_client::EventServiceClient<tonic::transport::Channel>;
type Ended = Result<std::convert::Infallible, Status>;

async fn publish(scene: &Scene, events: &mut Events, n: u64, keyed: bool) -> Result<(), Status> {
    let request = PublishEventRequest {
        event: Some(payload::event(n, keyed)),
    };
    let reply = events.publish_event(request).await?;
    scene.ledger.acknowledge(n, reply.into_inner());
    Ok(())
}

async fn unary(scene: &Scene, mut events: Events, mut dice: Dice) -> Ended {
    loop {
        pace(scene).await;
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

async fn batches(scene: &Scene, mut events: Events, mut dice: Dice) -> Ended {
    loop {
        pace(scene).await;
        let keyed = dice.once_in(2);
        let numbers = scene.ledger.sends_batch(keyed, 2 + dice.below(10));
        let request = BatchPublishEventsRequest {
            events: numbers.iter().map(|n| payload::event(*n, keyed)).collect(),
        };
        let reply = events.batch_publish_events(request).await?.into_inner();
        assert_eq!(reply.results.len(), numbers.len());
        for (n, result) in numbers.into_iter().zip(reply.results) {
            scene.ledger.acknowledge(n, result);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn stream(scene: &Scene, mut events: Events, mut dice: Dice) -> Ended {
    let (requests, waiting) = mpsc::channel(WINDOW);
    let feed = async {
        loop {
            pace(scene).await;
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
                    assert_eq!(refusal.code, Code::Unavailable as i32, "{refusal:?}");
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

/// Waits while the receivers are far behind.
async fn pace(scene: &Scene) {
    while !scene.dying() && scene.ledger.acknowledged() > scene.receipts.taken_at_steady() + BACKLOG
    {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Sees that a call failed because the server was gone, and for no other
/// reason.
pub fn gone<T>(ended: Result<T, Status>) {
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
