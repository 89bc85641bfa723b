//! `StreamPublishEvents`: many events under way on one stream, each answered by
//! its number as soon as it is decided.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use prost::Message;
use tokio::sync::{
    OwnedSemaphorePermit as Taken,
    oneshot::{self, error::TryRecvError},
};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Request, Status, Streaming};

use super::{
    call::Budget,
    codec_errors::explain,
    convert::event,
    draining,
    status::{to_refusal, to_status},
};
use crate::{
    control::{Control, Error},
    domain::{Caller, NotAuthenticated, TenantId},
    proto::{
        StreamPublishEventsRequest, StreamPublishEventsResponse,
        stream_publish_events_response::Result as Answer,
    },
};

/// Events of one stream that are under way at once. While there are so many,
/// the stream is not read, and flow control holds the client back.
const IN_FLIGHT: usize = 512;

type Answers = BoxStream<'static, Result<StreamPublishEventsResponse, Status>>;

/// The answers to a stream of events.
///
/// The stream ends when the client has sent its last event, when reading fails,
/// when the server drains, or when the caller's key is no longer good. What was read by then is answered first: an error
/// between the answers would end them.
pub(super) fn answers(
    control: Arc<Control>,
    caller: Caller,
    request: Request<Streaming<StreamPublishEventsRequest>>,
) -> Answers {
    let cut_off = Arc::new(OnceLock::new());
    let tenant = caller.tenant;
    let intake = Intake {
        refused: Box::pin(control.until_refused(caller.key)),
        draining: Box::pin(draining(&request).cancelled_owned()),
        budget: request.extensions().get().cloned(),
        events: request.into_inner(),
        cut_off: cut_off.clone(),
    };
    let mut order = Order::default();
    let last = stream::once(async move { cut_off.get().cloned().map(Err) });
    stream::unfold(intake, |mut intake| async {
        let event = intake.next().await?;
        Some((event, intake))
    })
    .map(move |(event, bytes)| {
        let (control, tenant) = (control.clone(), tenant.clone());
        let (before, decided) = order.enter(&event);
        async move {
            // Whoever was before has decided when its sender is gone.
            if let Some(before) = before {
                let _ = before.await;
            }
            let answer = answer(&control, &tenant, event).await;
            drop((decided, bytes));
            Ok(answer)
        }
    })
    .buffer_unordered(IN_FLIGHT)
    .chain(last.filter_map(std::future::ready))
    .boxed()
}

/// The last event of each ordering key, so that the next one of the same key is
/// accepted after it.
#[derive(Default)]
struct Order(HashMap<String, oneshot::Receiver<()>>);

impl Order {
    /// What an event has to wait for, and what ends when it is decided.
    fn enter(
        &mut self,
        request: &StreamPublishEventsRequest,
    ) -> (Option<oneshot::Receiver<()>>, Option<oneshot::Sender<()>>) {
        let key = request.event.as_ref().map(|event| &event.ordering_key);
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return (None, None);
        };
        if self.0.len() >= 2 * IN_FLIGHT {
            self.0
                .retain(|_, last| last.try_recv() == Err(TryRecvError::Empty));
        }
        let (decided, last) = oneshot::channel();
        (self.0.insert(key.clone(), last), Some(decided))
    }
}

/// Reads events, and notes why if it stops before the client has.
struct Intake {
    events: Streaming<StreamPublishEventsRequest>,
    budget: Option<Budget>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    refused: BoxFuture<'static, NotAuthenticated>,
    cut_off: Arc<OnceLock<Status>>,
}

impl Intake {
    /// The next event and what it takes of the budget until it is answered. While
    /// nothing is left of that, nothing is read.
    async fn next(&mut self) -> Option<(StreamPublishEventsRequest, Option<Taken>)> {
        let event = self.read().await?;
        let bytes = match &self.budget {
            Some(budget) => Some(budget.take(event.encoded_len()).await),
            None => None,
        };
        Some((event, bytes))
    }

    async fn read(&mut self) -> Option<StreamPublishEventsRequest> {
        let why = tokio::select! {
            biased;
            () = &mut self.draining => to_status(Error::Unavailable),
            why = &mut self.refused => to_status(why.into()),
            event = self.events.message() => match event {
                Ok(event) => return event,
                Err(status) => explain(status),
            },
        };
        self.cut_off.get_or_init(|| why);
        None
    }
}

async fn answer(
    control: &Control,
    tenant: &TenantId,
    request: StreamPublishEventsRequest,
) -> StreamPublishEventsResponse {
    let published = match event::from_publish(request.event, control.limits(), control.now()) {
        Ok(event) => control.publish(tenant, event).await,
        Err(error) => Err(error),
    };
    let answer = match published {
        Ok(accepted) => Answer::Accepted(event::to_published(accepted)),
        Err(error) => Answer::Refused(to_refusal(&error)),
    };
    StreamPublishEventsResponse {
        sequence: request.sequence,
        result: Some(answer),
    }
}
