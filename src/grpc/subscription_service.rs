//! `SubscriptionService`: convert, call, convert.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    access::tenant,
    convert::{delivery, event, subscription},
    status::to_status,
};
use crate::{
    control::{Control, Subject},
    domain::State,
    proto::{
        CreateSubscriptionRequest, DeleteSubscriptionRequest, DisableSubscriptionRequest,
        EnableSubscriptionRequest, GetSubscriptionRequest, ListSubscriptionsRequest,
        ListSubscriptionsResponse, RotateSubscriptionSecretRequest,
        RotateSubscriptionSecretResponse, Subscription, TestFilterRequest, TestFilterResponse,
        TestSubscriptionRequest, TestSubscriptionResponse, UpdateSubscriptionRequest,
        subscription_service_server::SubscriptionService,
    },
};

/// The service over the use cases.
pub(super) struct Subscriptions(Arc<Control>);

impl Subscriptions {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self(control)
    }
}

#[tonic::async_trait]
impl SubscriptionService for Subscriptions {
    async fn create_subscription(
        &self,
        request: Request<CreateSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        let tenant = tenant(&request)?;
        let create = subscription::from_create(request.into_inner()).map_err(to_status)?;
        let validate_only = create.validate_only;
        let created = self.0.create_subscription(&tenant, create).await;
        let created = subscription::to_created(&created.map_err(to_status)?, validate_only);
        Ok(Response::new(created))
    }

    async fn get_subscription(
        &self,
        request: Request<GetSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        let tenant = tenant(&request)?;
        let id = super::convert::from_id("id", &request.into_inner().id).map_err(to_status)?;
        let found = self.0.subscription(&tenant, id).await.map_err(to_status)?;
        Ok(Response::new(subscription::to_subscription(&found)))
    }

    async fn list_subscriptions(
        &self,
        request: Request<ListSubscriptionsRequest>,
    ) -> Result<Response<ListSubscriptionsResponse>, Status> {
        let tenant = tenant(&request)?;
        let list = subscription::from_list(request.into_inner()).map_err(to_status)?;
        let listed = self.0.list_subscriptions(&tenant, &list).await;
        let listed = listed.map_err(to_status)?;
        Ok(Response::new(subscription::to_listed(&listed)))
    }

    async fn update_subscription(
        &self,
        request: Request<UpdateSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        let tenant = tenant(&request)?;
        let update = subscription::from_update(request.into_inner()).map_err(to_status)?;
        let updated = self.0.update_subscription(&tenant, update).await;
        let updated = updated.map_err(to_status)?;
        Ok(Response::new(subscription::to_subscription(&updated)))
    }

    async fn delete_subscription(
        &self,
        request: Request<DeleteSubscriptionRequest>,
    ) -> Result<Response<()>, Status> {
        let tenant = tenant(&request)?;
        let (id, expected) = subscription::from_delete(&request.into_inner()).map_err(to_status)?;
        let deleted = self.0.delete_subscription(&tenant, id, expected).await;
        deleted.map(Response::new).map_err(to_status)
    }

    async fn enable_subscription(
        &self,
        request: Request<EnableSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        let tenant = tenant(&request)?;
        let id = super::convert::from_id("id", &request.into_inner().id).map_err(to_status)?;
        let enabled = self
            .0
            .set_subscription_state(&tenant, id, State::Active, String::new())
            .await;
        let enabled = enabled.map_err(to_status)?;
        Ok(Response::new(subscription::to_subscription(&enabled)))
    }

    async fn disable_subscription(
        &self,
        request: Request<DisableSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        let tenant = tenant(&request)?;
        let (id, message) = subscription::from_disable(request.into_inner()).map_err(to_status)?;
        let disabled = self
            .0
            .set_subscription_state(&tenant, id, State::Disabled, message)
            .await;
        let disabled = disabled.map_err(to_status)?;
        Ok(Response::new(subscription::to_subscription(&disabled)))
    }

    async fn rotate_subscription_secret(
        &self,
        request: Request<RotateSubscriptionSecretRequest>,
    ) -> Result<Response<RotateSubscriptionSecretResponse>, Status> {
        let tenant = tenant(&request)?;
        let (id, renewal, overlap) =
            subscription::from_rotate(&request.into_inner()).map_err(to_status)?;
        let rotated = self.0.rotate_secret(&tenant, id, renewal, overlap).await;
        let rotated = rotated.map_err(to_status)?;
        Ok(Response::new(subscription::to_rotated(&rotated)))
    }

    async fn test_subscription(
        &self,
        request: Request<TestSubscriptionRequest>,
    ) -> Result<Response<TestSubscriptionResponse>, Status> {
        let tenant = tenant(&request)?;
        let (id, event_type) = subscription::from_test(&request.into_inner()).map_err(to_status)?;
        let tested = self.0.test_subscription(&tenant, id, event_type).await;
        let attempt = tested.map_err(to_status)?;
        Ok(Response::new(TestSubscriptionResponse {
            attempt: Some(delivery::to_attempt(&attempt)),
        }))
    }

    async fn test_filter(
        &self,
        request: Request<TestFilterRequest>,
    ) -> Result<Response<TestFilterResponse>, Status> {
        let (limits, now) = (self.0.limits(), self.0.now());
        let tested = event::from_test_filter(request.into_inner(), limits, now);
        let (filter, event) = tested.map_err(to_status)?;
        let answer = filter.matches(&Subject::from(&event));
        Ok(Response::new(subscription::to_filter_tested(answer)))
    }
}
