//! `EventService`: convert, call, convert.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    access::{caller, tenant},
    convert::{erase, event, explain},
    publish_stream,
    status::to_status,
    trace,
};
use crate::{
    control::Control,
    proto::{
        BatchPublishEventsRequest, BatchPublishEventsResponse, EraseEventsRequest,
        EraseEventsResponse, Event, ExplainEventRequest, ExplainEventResponse, GetEventRequest,
        ListEventsRequest, ListEventsResponse, PublishEventRequest, PublishEventResponse,
        StreamPublishEventsRequest, StreamPublishEventsResponse,
        event_service_server::EventService,
    },
};

/// The service over the use cases.
pub(super) struct Events {
    control: Arc<Control>,
}

impl Events {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl EventService for Events {
    async fn publish_event(
        &self,
        request: Request<PublishEventRequest>,
    ) -> Result<Response<PublishEventResponse>, Status> {
        let tenant = tenant(&request)?;
        let (limits, now) = (self.control.limits(), self.control.now());
        let (metadata, _, mut request) = request.into_parts();
        trace::pass_on(&metadata, &mut request.event);
        let event = event::from_publish(request.event, limits, now);
        let published = self.control.publish(&tenant, event.map_err(to_status)?);
        let published = published.await.map_err(to_status)?;
        Ok(Response::new(event::to_published(published)))
    }

    async fn batch_publish_events(
        &self,
        request: Request<BatchPublishEventsRequest>,
    ) -> Result<Response<BatchPublishEventsResponse>, Status> {
        let tenant = tenant(&request)?;
        let (limits, now) = (self.control.limits(), self.control.now());
        let (metadata, _, mut request) = request.into_parts();
        trace::pass_on(&metadata, &mut request.events);
        let events = event::from_batch(request, limits, now);
        let published = self
            .control
            .publish_batch(&tenant, events.map_err(to_status)?);
        let published = published.await.map_err(to_status)?;
        Ok(Response::new(BatchPublishEventsResponse {
            results: published.into_iter().map(event::to_published).collect(),
        }))
    }

    type StreamPublishEventsStream =
        BoxStream<'static, Result<StreamPublishEventsResponse, Status>>;

    async fn stream_publish_events(
        &self,
        request: Request<Streaming<StreamPublishEventsRequest>>,
    ) -> Result<Response<Self::StreamPublishEventsStream>, Status> {
        let caller = caller(&request)?;
        let answers = publish_stream::answers(self.control.clone(), caller, request);
        Ok(Response::new(answers))
    }

    async fn get_event(
        &self,
        request: Request<GetEventRequest>,
    ) -> Result<Response<Event>, Status> {
        let tenant = tenant(&request)?;
        let (id, view) = event::from_get(&request.into_inner()).map_err(to_status)?;
        let event = self.control.event(&tenant, id, view).await;
        Ok(Response::new(event::to_event(
            event.map_err(to_status)?,
            view,
        )))
    }

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        let tenant = tenant(&request)?;
        let (filter, view, list) = event::from_list(request.into_inner()).map_err(to_status)?;
        let listed = self
            .control
            .list_events(&tenant, &filter, view, &list)
            .await;
        let listed = listed.map_err(to_status)?;
        Ok(Response::new(event::to_listed(listed, view)))
    }

    async fn erase_events(
        &self,
        request: Request<EraseEventsRequest>,
    ) -> Result<Response<EraseEventsResponse>, Status> {
        let tenant = tenant(&request)?;
        let what = erase::from_erase(request.into_inner()).map_err(to_status)?;
        let erased = self.control.erase(&tenant, what).await;
        Ok(Response::new(erase::to_erased(erased.map_err(to_status)?)))
    }

    async fn explain_event(
        &self,
        request: Request<ExplainEventRequest>,
    ) -> Result<Response<ExplainEventResponse>, Status> {
        let tenant = tenant(&request)?;
        let (id, list) = explain::from_explain(request.into_inner()).map_err(to_status)?;
        let explained = self.control.explain_event(&tenant, id, &list).await;
        let explained = explained.map_err(to_status)?;
        Ok(Response::new(explain::to_explained(&explained)))
    }
}
