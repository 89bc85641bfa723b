//! For each method a request that names things of a tenant. A method that is
//! missing here fails the matrix.

use postrider::proto::{
    BatchPublishEventsRequest, CancelDeliveryRequest, CancelReplayRequest, CreateApiKeyRequest,
    CreateReplayRequest, CreateSubscriptionRequest, DeleteSubscriptionRequest, DeliveryFilter,
    DisableSubscriptionRequest, EnableSubscriptionRequest, EraseEventsRequest, Event,
    ExplainEventRequest, GetDeliveryRequest, GetDeliveryStatsRequest, GetEventRequest,
    GetReplayRequest, GetSubscriptionRequest, ListApiKeysRequest, ListAttemptsRequest,
    ListDeliveriesRequest, ListEventsRequest, ListReplaysRequest, ListSubscriptionsRequest,
    PublishEventRequest, Replay, ReplayFilter, ReplayMode, RetryDeliveryRequest,
    RevokeApiKeyRequest, RotateSubscriptionSecretRequest, StreamPublishEventsRequest, Subscription,
    TailDeliveriesRequest, TestFilterRequest, TestSubscriptionRequest, UpdateSubscriptionRequest,
    WatchReplayRequest, erase_events_request::What, event,
};
use prost::Message;

/// Things of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    pub subscription: String,
    pub event: String,
    pub delivery: String,
    pub replay: String,
    pub key: String,
}

impl Ids {
    pub fn all(&self) -> [&str; 5] {
        [
            &self.subscription,
            &self.event,
            &self.delivery,
            &self.replay,
            &self.key,
        ]
    }
}

/// Well-formed ids of nothing.
pub fn unknown() -> Ids {
    let id = |prefix| format!("{prefix}_01hm690k80e008000000000000");
    Ids {
        subscription: id("sub"),
        event: id("evt"),
        delivery: id("dlv"),
        replay: id("rpl"),
        key: id("key"),
    }
}

/// Requests of a method that name these things, or do without.
pub fn requests(path: &str, ids: &Ids) -> Vec<Vec<u8>> {
    let method = path.rsplit('/').next().unwrap();
    let found = of_subscriptions_and_events(method, ids).or_else(|| of_the_rest(method, ids));
    found.unwrap_or_else(|| panic!("{path} has no request here"))
}

fn of_subscriptions_and_events(method: &str, ids: &Ids) -> Option<Vec<Vec<u8>>> {
    let (subscription, event) = (ids.subscription.clone(), ids.event.clone());
    Some(match method {
        "CreateSubscription" => one(&CreateSubscriptionRequest::default()),
        "GetSubscription" => one(&GetSubscriptionRequest { id: subscription }),
        "ListSubscriptions" => one(&ListSubscriptionsRequest::default()),
        "UpdateSubscription" => one(&update(subscription)),
        "DeleteSubscription" => one(&DeleteSubscriptionRequest {
            id: subscription,
            ..Default::default()
        }),
        "EnableSubscription" => one(&EnableSubscriptionRequest { id: subscription }),
        "DisableSubscription" => one(&DisableSubscriptionRequest {
            id: subscription,
            ..Default::default()
        }),
        "RotateSubscriptionSecret" => one(&RotateSubscriptionSecretRequest {
            id: subscription,
            ..Default::default()
        }),
        "TestSubscription" => one(&TestSubscriptionRequest {
            id: subscription,
            ..Default::default()
        }),
        "TestFilter" => one(&TestFilterRequest::default()),
        "PublishEvent" => one(&PublishEventRequest {
            event: Some(published()),
        }),
        "BatchPublishEvents" => one(&BatchPublishEventsRequest {
            events: vec![published()],
        }),
        "StreamPublishEvents" => one(&StreamPublishEventsRequest {
            sequence: 1,
            event: Some(published()),
        }),
        "GetEvent" => one(&GetEventRequest {
            id: event,
            ..Default::default()
        }),
        "ListEvents" => one(&ListEventsRequest::default()),
        "EraseEvents" => [What::EventId(event), What::SubscriptionId(subscription)]
            .map(|what| bytes(&EraseEventsRequest { what: Some(what) }))
            .to_vec(),
        "ExplainEvent" => one(&ExplainEventRequest {
            id: event,
            ..Default::default()
        }),
        _ => return None,
    })
}

fn of_the_rest(method: &str, ids: &Ids) -> Option<Vec<Vec<u8>>> {
    let (subscription, delivery) = (ids.subscription.clone(), ids.delivery.clone());
    let replay = ids.replay.clone();
    Some(match method {
        "GetDelivery" => one(&GetDeliveryRequest { id: delivery }),
        "ListDeliveries" => filters(ids)
            .map(|filter| {
                bytes(&ListDeliveriesRequest {
                    filter,
                    ..Default::default()
                })
            })
            .to_vec(),
        "ListAttempts" => filters(ids)
            .map(|filter| {
                bytes(&ListAttemptsRequest {
                    filter,
                    ..Default::default()
                })
            })
            .to_vec(),
        "RetryDelivery" => one(&RetryDeliveryRequest { id: delivery }),
        "CancelDelivery" => one(&CancelDeliveryRequest { id: delivery }),
        "GetDeliveryStats" => [String::new(), subscription]
            .map(|subscription_id| {
                let request = GetDeliveryStatsRequest {
                    subscription_id,
                    ..Default::default()
                };
                bytes(&request)
            })
            .to_vec(),
        "TailDeliveries" => filters(ids)
            .map(|filter| {
                bytes(&TailDeliveriesRequest {
                    filter,
                    ..Default::default()
                })
            })
            .to_vec(),
        "CreateReplay" => one(&CreateReplayRequest {
            replay: Some(Replay {
                filter: Some(ReplayFilter {
                    subscription_id: subscription,
                    ..Default::default()
                }),
                mode: ReplayMode::All.into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        "GetReplay" => one(&GetReplayRequest { id: replay }),
        "ListReplays" => one(&ListReplaysRequest::default()),
        "CancelReplay" => one(&CancelReplayRequest { id: replay }),
        "WatchReplay" => one(&WatchReplayRequest { id: replay }),
        "CreateApiKey" => one(&CreateApiKeyRequest::default()),
        "ListApiKeys" => one(&ListApiKeysRequest::default()),
        "RevokeApiKey" => one(&RevokeApiKeyRequest {
            id: ids.key.clone(),
        }),
        _ => return None,
    })
}

/// An event that nobody wants.
fn published() -> Event {
    Event {
        r#type: "nobody.wants.this".to_owned(),
        payload: Some(event::Payload::Data("{}".into())),
        ..Event::default()
    }
}

fn update(id: String) -> UpdateSubscriptionRequest {
    UpdateSubscriptionRequest {
        subscription: Some(Subscription {
            id,
            description: "changed by a stranger".to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["description".to_owned()],
        }),
        ..Default::default()
    }
}

fn filters(ids: &Ids) -> [Option<DeliveryFilter>; 4] {
    [
        None,
        Some(DeliveryFilter {
            subscription_id: ids.subscription.clone(),
            ..Default::default()
        }),
        Some(DeliveryFilter {
            event_id: ids.event.clone(),
            ..Default::default()
        }),
        Some(DeliveryFilter {
            delivery_id: ids.delivery.clone(),
            ..Default::default()
        }),
    ]
}

fn one(request: &impl Message) -> Vec<Vec<u8>> {
    vec![bytes(request)]
}

fn bytes(request: &impl Message) -> Vec<u8> {
    request.encode_to_vec()
}
