//! Publishes stamped events as the pace allows, by single calls or by streams.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::sleep,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, transport::Channel};

use super::{Args, events::Events, ledger::Ledger, pace::Pace, rig::for_tenant};
use crate::{
    cli::stamp::Stamp,
    proto::{
        PublishEventRequest, StreamPublishEventsRequest, StreamPublishEventsResponse,
        event_service_client::EventServiceClient, stream_publish_events_response,
    },
};

/// Pause after a refusal, so that a server that refuses is not hammered.
const AFTER_REFUSAL: Duration = Duration::from_millis(10);

/// How events are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// A call for each event.
    Unary,
    /// Long streams with many events under way.
    Stream,
}

/// What the publishers share.
pub(super) struct Publishing {
    mode: Mode,
    /// For whom is published; nobody is named if none.
    tenant: Option<&'static str>,
    /// Events that may wait for their answer at once.
    concurrency: usize,
    events: Events,
    channels: Vec<Channel>,
    pub(super) pace: Pace,
    pub(super) ledger: Mutex<Ledger>,
}

impl Publishing {
    pub(super) fn new(args: &Args, channels: &[Channel], events: Events, pace: Pace) -> Arc<Self> {
        Self::of_tenant(None, args, channels, events, pace)
    }

    pub(super) fn of_tenant(
        tenant: Option<&'static str>,
        args: &Args,
        channels: &[Channel],
        events: Events,
        pace: Pace,
    ) -> Arc<Self> {
        Arc::new(Self {
            mode: args.mode,
            tenant,
            concurrency: args.concurrency,
            events,
            channels: channels.to_vec(),
            pace,
            ledger: Mutex::new(Ledger::new()),
        })
    }

    /// Counts a refusal and waits a little.
    async fn refused(&self, status: &Status) {
        self.ledger.lock().refuse(status);
        self.pace.arrived(1);
        sleep(AFTER_REFUSAL).await;
    }
}

/// Publishes until the pace ends and everything is answered.
pub(super) async fn publish(shared: &Arc<Publishing>) {
    let mut publishers = JoinSet::new();
    let channels = shared.channels.iter().cycle();
    match shared.mode {
        Mode::Unary => {
            for channel in channels.take(shared.concurrency) {
                publishers.spawn(unary(Arc::clone(shared), channel.clone()));
            }
        }
        Mode::Stream => {
            let streams = shared.channels.len();
            let window = shared.concurrency.div_ceil(streams);
            for channel in channels.take(streams) {
                publishers.spawn(stream(Arc::clone(shared), channel.clone(), window));
            }
        }
    }
    publishers.join_all().await;
}

async fn unary(shared: Arc<Publishing>, channel: Channel) {
    let mut client = EventServiceClient::new(channel);
    while let Some(stamp) = shared.pace.turn().await {
        let event = Some(shared.events.event(stamp));
        let request = for_tenant(shared.tenant, PublishEventRequest { event });
        match client.publish_event(request).await {
            Ok(_) => shared.ledger.lock().acknowledge(stamp),
            Err(status) => shared.refused(&status).await,
        }
    }
}

async fn stream(shared: Arc<Publishing>, channel: Channel, window: usize) {
    let (requests, queue) = mpsc::channel(window);
    let unanswered = Mutex::new(HashMap::with_capacity(window));
    let free = Semaphore::new(window);
    let send = async {
        while let Ok(permit) = free.acquire().await {
            permit.forget();
            let Some(stamp) = shared.pace.turn().await else {
                break;
            };
            unanswered.lock().insert(stamp.sequence, stamp);
            let request = StreamPublishEventsRequest {
                sequence: stamp.sequence,
                event: Some(shared.events.event(stamp)),
            };
            if requests.send(request).await.is_err() {
                break;
            }
        }
        drop(requests);
    };
    let receive = async {
        let ended = answers(&shared, channel, queue, &unanswered, &free).await;
        free.close();
        ended
    };
    let ((), ended) = tokio::join!(send, receive);
    let status = ended
        .err()
        .unwrap_or_else(|| Status::unknown("not answered"));
    for _ in unanswered.into_inner() {
        shared.refused(&status).await;
    }
}

async fn answers(
    shared: &Publishing,
    channel: Channel,
    queue: mpsc::Receiver<StreamPublishEventsRequest>,
    unanswered: &Mutex<HashMap<u64, Stamp>>,
    free: &Semaphore,
) -> Result<(), Status> {
    let mut client = EventServiceClient::new(channel);
    let requests = for_tenant(shared.tenant, ReceiverStream::new(queue));
    let mut answers = client.stream_publish_events(requests).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        let StreamPublishEventsResponse { sequence, result } = answer;
        let stamp = unanswered.lock().remove(&sequence);
        match (stamp, result) {
            (Some(stamp), Some(stream_publish_events_response::Result::Accepted(_))) => {
                shared.ledger.lock().acknowledge(stamp);
            }
            (_, Some(stream_publish_events_response::Result::Refused(refusal))) => {
                let status = Status::new(refusal.code.into(), refusal.message);
                shared.refused(&status).await;
            }
            _ => return Err(Status::internal("an answer without a question or a result")),
        }
        free.add_permits(1);
    }
    Ok(())
}
