//! What is one tenant's is nothing to another: neither told nor changed, and its
//! ids answer like those of nothing.

use postrider::proto::{
    ApiKeyScope, CreateReplayRequest, CreateSubscriptionRequest, DeliveryState, Event, EventView,
    GetDeliveryRequest, GetEventRequest, GetReplayRequest, GetSubscriptionRequest,
    ListDeliveriesRequest, PublishEventRequest, Replay, ReplayFilter, ReplayMode, ReplayState,
    Subscription, delivery_service_client::DeliveryServiceClient, event,
    event_service_client::EventServiceClient, replay_service_client::ReplayServiceClient,
    subscription_service_client::SubscriptionServiceClient,
};
use tonic::{Code, Status};

use super::{
    ALL, Home, Shown,
    call::{call, methods},
    requests::{Ids, requests, unknown},
    shown,
};
use crate::support::eventually;

/// Something of everything for a tenant.
async fn settle(home: &Home, tenant: &str) -> Ids {
    let channel = || shown(home.server.channel(), &home.admin, tenant);
    let subscription = CreateSubscriptionRequest {
        subscription: Some(Subscription {
            // Nobody listens there.
            url: "http://127.0.0.1:9/".to_owned(),
            events: vec!["order.*".to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut subscriptions = SubscriptionServiceClient::new(channel());
    let subscription = subscriptions.create_subscription(subscription).await;
    let subscription = subscription.unwrap().into_inner().id;
    let event = Event {
        r#type: "order.created".to_owned(),
        payload: Some(event::Payload::Data("{\"secret\":1}".into())),
        ..Default::default()
    };
    let publish = PublishEventRequest { event: Some(event) };
    let published = EventServiceClient::new(channel())
        .publish_event(publish)
        .await;
    let event = published.unwrap().into_inner().event_id;
    let deliveries = DeliveryServiceClient::new(channel());
    let delivery = eventually("an attempt", async || {
        let mut deliveries = deliveries.clone();
        let listed = deliveries.list_deliveries(ListDeliveriesRequest::default());
        let listed = listed.await.unwrap().into_inner().deliveries;
        let tried = listed
            .into_iter()
            .find(|delivery| delivery.attempt_count > 0);
        tried.map(|delivery| delivery.id)
    })
    .await;
    let replay = CreateReplayRequest {
        replay: Some(Replay {
            filter: Some(ReplayFilter {
                subscription_id: subscription.clone(),
                ..Default::default()
            }),
            mode: ReplayMode::Missing.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let replay = ReplayServiceClient::new(channel())
        .create_replay(replay)
        .await;
    Ids {
        subscription,
        event,
        delivery,
        replay: replay.unwrap().into_inner().id,
        key: home.key(tenant, &[ApiKeyScope::Read]).await.id,
    }
}

/// What a tenant sees of what a stranger might have changed.
async fn seen(channel: Shown, ids: &Ids) -> String {
    let subscription = SubscriptionServiceClient::new(channel.clone())
        .get_subscription(GetSubscriptionRequest {
            id: ids.subscription.clone(),
        })
        .await;
    let event = EventServiceClient::new(channel.clone())
        .get_event(GetEventRequest {
            id: ids.event.clone(),
            view: EventView::Full.into(),
        })
        .await;
    let replay = ReplayServiceClient::new(channel.clone())
        .get_replay(GetReplayRequest {
            id: ids.replay.clone(),
        })
        .await;
    let delivery = DeliveryServiceClient::new(channel)
        .get_delivery(GetDeliveryRequest {
            id: ids.delivery.clone(),
        })
        .await
        .unwrap();
    format!(
        "{:?} {:?} {} {:?} {}",
        subscription.unwrap().into_inner(),
        event.unwrap().into_inner(),
        replay.unwrap().into_inner().state() == ReplayState::Cancelled,
        delivery.get_ref().trigger(),
        delivery.get_ref().state() == DeliveryState::Cancelled,
    )
}

/// The answer, with every id of theirs as if it had been that of the others.
fn as_if(answer: &Result<Vec<u8>, Status>, theirs: &Ids, others: &Ids) -> (Code, Vec<u8>) {
    let (code, mut bytes) = match answer {
        Ok(answer) => (Code::Ok, answer.clone()),
        Err(status) => {
            let told = [status.message().as_bytes(), status.details()].concat();
            (status.code(), told)
        }
    };
    for (id, other) in theirs.all().into_iter().zip(others.all()) {
        let mut from = 0;
        while let Some(place) = find(&bytes[from..], id) {
            from += place + id.len();
            bytes.splice(from - id.len()..from, other.bytes());
        }
    }
    (code, bytes)
}

fn find(bytes: &[u8], id: &str) -> Option<usize> {
    bytes
        .windows(id.len())
        .position(|part| part == id.as_bytes())
}

#[tokio::test]
async fn ids_of_another_tenant_answer_like_unknown_ones() {
    let home = Home::open().await;
    let (theirs, unknown) = (settle(&home, "acme").await, unknown());
    let acme = shown(home.server.channel(), &home.admin, "acme");
    let before = seen(acme.clone(), &theirs).await;
    let stranger = format!("Bearer {}", home.key("globex", &ALL).await.key);
    let channel = home.server.channel();
    for method in methods() {
        let named = requests(&method.path, &theirs);
        let made_up = requests(&method.path, &unknown);
        for (named, made_up) in named.into_iter().zip(made_up) {
            let is_same = named == made_up;
            let answer = call(&channel, &method, Some(&stranger), made_up).await;
            let expected = as_if(&answer, &unknown, &unknown);
            for id in theirs.all() {
                assert_eq!(find(&expected.1, id), None, "{method:?} tells {id}");
            }
            if is_same {
                continue;
            }
            let answer = call(&channel, &method, Some(&stranger), named).await;
            let answer = as_if(&answer, &theirs, &unknown);
            assert_eq!(answer, expected, "{method:?}");
        }
    }
    assert_eq!(seen(acme, &theirs).await, before);
}
