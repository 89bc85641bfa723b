//! `ReplayService`: convert, call, convert.

use std::sync::Arc;

use futures_util::{StreamExt, stream::BoxStream};
use tonic::{Request, Response, Status};

use super::{
    access::{caller, tenant, while_allowed},
    convert::{from_id, replay},
    draining,
    status::to_status,
};
use crate::{
    control::Control,
    domain::Caller,
    proto::{
        CancelReplayRequest, CreateReplayRequest, GetReplayRequest, ListReplaysRequest,
        ListReplaysResponse, Replay, WatchReplayRequest, WatchReplayResponse,
        replay_service_server::ReplayService,
    },
};

/// The service over the use cases.
pub(super) struct Replays {
    control: Arc<Control>,
}

impl Replays {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl ReplayService for Replays {
    async fn create_replay(
        &self,
        request: Request<CreateReplayRequest>,
    ) -> Result<Response<Replay>, Status> {
        let tenant = tenant(&request)?;
        let (spec, validate_only) = replay::from_create(request.into_inner()).map_err(to_status)?;
        let created = self
            .control
            .create_replay(&tenant, spec, validate_only)
            .await;
        let created = replay::to_created(&created.map_err(to_status)?, validate_only);
        Ok(Response::new(created))
    }

    async fn get_replay(
        &self,
        request: Request<GetReplayRequest>,
    ) -> Result<Response<Replay>, Status> {
        let tenant = tenant(&request)?;
        let id = from_id("id", &request.into_inner().id).map_err(to_status)?;
        let found = self.control.replay(&tenant, id).await.map_err(to_status)?;
        Ok(Response::new(replay::to_replay(&found)))
    }

    async fn list_replays(
        &self,
        request: Request<ListReplaysRequest>,
    ) -> Result<Response<ListReplaysResponse>, Status> {
        let tenant = tenant(&request)?;
        let list = replay::from_list(request.into_inner()).map_err(to_status)?;
        let listed = self.control.list_replays(&tenant, &list).await;
        let listed = listed.map_err(to_status)?;
        Ok(Response::new(ListReplaysResponse {
            replays: listed.items.iter().map(replay::to_replay).collect(),
            next_page_token: listed.next_page_token,
        }))
    }

    async fn cancel_replay(
        &self,
        request: Request<CancelReplayRequest>,
    ) -> Result<Response<Replay>, Status> {
        let tenant = tenant(&request)?;
        let id = from_id("id", &request.into_inner().id).map_err(to_status)?;
        let cancelled = self.control.cancel_replay(&tenant, id).await;
        Ok(Response::new(replay::to_replay(
            &cancelled.map_err(to_status)?,
        )))
    }

    type WatchReplayStream = BoxStream<'static, Result<WatchReplayResponse, Status>>;

    async fn watch_replay(
        &self,
        request: Request<WatchReplayRequest>,
    ) -> Result<Response<Self::WatchReplayStream>, Status> {
        let Caller { tenant, key, .. } = caller(&request)?;
        let draining = draining(&request);
        let id = from_id("id", &request.into_inner().id).map_err(to_status)?;
        let steps = self.control.watch_replay(&tenant, id, draining).await;
        let steps = steps.map_err(to_status)?;
        let responses = steps.map(|step| match step {
            Ok(shown) => Ok(replay::to_watched(&shown)),
            Err(error) => Err(to_status(error)),
        });
        Ok(Response::new(while_allowed(&self.control, key, responses)))
    }
}
