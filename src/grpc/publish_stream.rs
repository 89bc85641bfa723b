//! `StreamPublishEvents`: many events under way on one stream, each answered by
//! its number as soon as it is decided.

use std::sync::Arc;

use futures_util::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{
    convert::event,
    status::{to_refusal, to_status},
};
use crate::{
    control::{Control, Error},
    domain::TenantId,
    proto::{
        StreamPublishEventsRequest, StreamPublishEventsResponse,
        stream_publish_events_response::Result as Answer,
    },
};

/// Events of one stream that are under way at once. While there are so many,
/// the stream is not read, and flow control holds the client back.
const IN_FLIGHT: usize = 512;

type Answers = BoxStream<'static, Result<StreamPublishEventsResponse, Status>>;

/// The answers to a stream of events. When the server drains, what was read is
/// answered before the stream ends.
pub(super) fn answers(
    control: Arc<Control>,
    tenant: TenantId,
    events: Streaming<StreamPublishEventsRequest>,
    draining: CancellationToken,
) -> Answers {
    let cut_off = {
        let draining = draining.clone();
        stream::once(async move { draining.is_cancelled() })
            .filter_map(|cut| async move { cut.then(|| Err(to_status(Error::Unavailable))) })
    };
    events
        .take_until(draining.cancelled_owned())
        .map(move |item| {
            let (control, tenant) = (control.clone(), tenant.clone());
            async move { Ok(answer(&control, &tenant, item?).await) }.boxed()
        })
        .buffer_unordered(IN_FLIGHT)
        .chain(cut_off)
        .boxed()
}

async fn answer(
    control: &Control,
    tenant: &TenantId,
    request: StreamPublishEventsRequest,
) -> StreamPublishEventsResponse {
    let published = match event::from_publish(request.event, control) {
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
