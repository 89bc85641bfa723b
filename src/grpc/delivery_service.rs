//! `DeliveryService`: convert, call, convert.

use std::sync::Arc;

use futures_util::{StreamExt, stream::BoxStream};
use tonic::{Request, Response, Status};

use super::{
    access::{caller, tenant, while_allowed},
    convert::{delivery, filter, from_id, stats, tail},
    draining,
    status::to_status,
};
use crate::{
    control::Control,
    domain::Caller,
    proto::{
        CancelDeliveryRequest, Delivery, GetDeliveryRequest, GetDeliveryStatsRequest,
        GetDeliveryStatsResponse, ListAttemptsRequest, ListAttemptsResponse, ListDeliveriesRequest,
        ListDeliveriesResponse, RetryDeliveryRequest, TailDeliveriesRequest,
        TailDeliveriesResponse, delivery_service_server::DeliveryService,
    },
};

/// The service over the use cases.
pub(super) struct Deliveries {
    control: Arc<Control>,
}

impl Deliveries {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl DeliveryService for Deliveries {
    async fn get_delivery(
        &self,
        request: Request<GetDeliveryRequest>,
    ) -> Result<Response<Delivery>, Status> {
        let tenant = tenant(&request)?;
        let id = from_id("id", &request.into_inner().id).map_err(to_status)?;
        let found = self.control.delivery(&tenant, id).await;
        Ok(Response::new(delivery::to_delivery(
            &found.map_err(to_status)?,
        )))
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let tenant = tenant(&request)?;
        let (filter, list) =
            filter::from_list_deliveries(request.into_inner()).map_err(to_status)?;
        let listed = self.control.list_deliveries(&tenant, &filter, &list).await;
        let listed = listed.map_err(to_status)?;
        Ok(Response::new(ListDeliveriesResponse {
            deliveries: listed.items.iter().map(delivery::to_delivery).collect(),
            next_page_token: listed.next_page_token,
        }))
    }

    async fn list_attempts(
        &self,
        request: Request<ListAttemptsRequest>,
    ) -> Result<Response<ListAttemptsResponse>, Status> {
        let tenant = tenant(&request)?;
        let (filter, list) = filter::from_list_attempts(request.into_inner()).map_err(to_status)?;
        let listed = self.control.list_attempts(&tenant, &filter, &list).await;
        let listed = listed.map_err(to_status)?;
        let attempts = listed
            .items
            .iter()
            .map(|attempt| delivery::to_attempt(attempt));
        Ok(Response::new(ListAttemptsResponse {
            attempts: attempts.collect(),
            next_page_token: listed.next_page_token,
        }))
    }

    async fn retry_delivery(
        &self,
        request: Request<RetryDeliveryRequest>,
    ) -> Result<Response<Delivery>, Status> {
        let tenant = tenant(&request)?;
        let id = from_id("id", &request.into_inner().id).map_err(to_status)?;
        let retried = self.control.retry(&tenant, id).await.map_err(to_status)?;
        Ok(Response::new(delivery::to_delivery(&retried)))
    }

    async fn cancel_delivery(
        &self,
        request: Request<CancelDeliveryRequest>,
    ) -> Result<Response<Delivery>, Status> {
        let tenant = tenant(&request)?;
        let id = from_id("id", &request.into_inner().id).map_err(to_status)?;
        let cancelled = self.control.cancel(&tenant, id).await.map_err(to_status)?;
        Ok(Response::new(delivery::to_delivery(&cancelled)))
    }

    async fn get_delivery_stats(
        &self,
        request: Request<GetDeliveryStatsRequest>,
    ) -> Result<Response<GetDeliveryStatsResponse>, Status> {
        let tenant = tenant(&request)?;
        let query = stats::from_stats(&request.into_inner(), self.control.now());
        let query = query.map_err(to_status)?;
        let groups = self.control.delivery_stats(&tenant, &query).await;
        let groups = groups.map_err(to_status)?;
        Ok(Response::new(stats::to_response(&groups, &query)))
    }

    type TailDeliveriesStream = BoxStream<'static, Result<TailDeliveriesResponse, Status>>;

    async fn tail_deliveries(
        &self,
        request: Request<TailDeliveriesRequest>,
    ) -> Result<Response<Self::TailDeliveriesStream>, Status> {
        let Caller { tenant, key, .. } = caller(&request)?;
        let draining = draining(&request);
        let tail = tail::from_tail(request.into_inner()).map_err(to_status)?;
        let steps = self.control.tail(&tenant, tail, draining).await;
        let steps = steps.map_err(to_status)?;
        let responses = steps.map(|step| step.map(tail::to_response).map_err(to_status));
        Ok(Response::new(while_allowed(&self.control, key, responses)))
    }
}
