//! Streams end with the key that they were opened by, and show one tenant.

use std::future::Future;

use postrider::proto::{
    ApiKeyScope, CreateReplayRequest, CreateSubscriptionRequest, Event, PublishEventRequest,
    Replay, ReplayFilter, ReplayMode, StreamPublishEventsRequest, Subscription,
    TailDeliveriesRequest, WatchReplayRequest, delivery_service_client::DeliveryServiceClient,
    event, event_service_client::EventServiceClient, replay_service_client::ReplayServiceClient,
    subscription_service_client::SubscriptionServiceClient, tail_deliveries_response,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use super::{ALL, Home, Shown, call::methods, shown};
use crate::support::within;

const ACME: &str = "acme";

fn event(event_type: &str) -> Event {
    Event {
        r#type: event_type.to_owned(),
        payload: Some(event::Payload::Data("{}".into())),
        ..Event::default()
    }
}

async fn publish(channel: Shown, event_type: &str) -> String {
    let request = PublishEventRequest {
        event: Some(event(event_type)),
    };
    let published = EventServiceClient::new(channel)
        .publish_event(request)
        .await;
    published.unwrap().into_inner().event_id
}

/// Subscribes an endpoint where nobody listens, and returns its id.
async fn subscribe(channel: Shown) -> String {
    let request = CreateSubscriptionRequest {
        subscription: Some(Subscription {
            url: "http://127.0.0.1:9/".to_owned(),
            events: vec!["order.*".to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut subscriptions = SubscriptionServiceClient::new(channel);
    let created = subscriptions.create_subscription(request).await;
    created.unwrap().into_inner().id
}

/// Reads a stream to its end, and returns why it ended.
async fn end<T>(mut answers: Streaming<T>) -> Status {
    loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended as if all was told"),
            Err(status) => return status,
        }
    }
}

async fn assert_revoked(stream: &str, end: impl Future<Output = Status>) {
    let status = within(stream, end).await;
    assert_eq!(status.code(), Code::Unauthenticated, "{stream}: {status}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "API_KEY_REVOKED");
}

#[tokio::test]
async fn every_stream_ends_when_its_key_is_revoked() {
    let streams: Vec<_> = methods()
        .into_iter()
        .filter(|method| method.is_stream)
        .collect();
    let mut names: Vec<_> = streams
        .iter()
        .map(|method| method.path.rsplit('/').next())
        .collect();
    names.sort_unstable();
    // Another one has to be seen to end, too.
    let known = ["StreamPublishEvents", "TailDeliveries", "WatchReplay"];
    assert_eq!(names, known.map(Some));

    let home = Home::open().await;
    let key = home.key(ACME, &ALL).await;
    let channel = || shown(home.server.channel(), &key.key, "");
    publish(channel(), "order.missed").await;
    let replay = CreateReplayRequest {
        replay: Some(Replay {
            filter: Some(ReplayFilter {
                subscription_id: subscribe(channel()).await,
                ..Default::default()
            }),
            mode: ReplayMode::Missing.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut replays = ReplayServiceClient::new(channel());
    let id = replays.create_replay(replay).await.unwrap().into_inner().id;
    // What it begins fails, so it goes on for days.
    let watch = replays.watch_replay(WatchReplayRequest { id }).await;
    let mut deliveries = DeliveryServiceClient::new(channel());
    let tail = deliveries
        .tail_deliveries(TailDeliveriesRequest::default())
        .await;
    let (events, sent) = mpsc::channel(4);
    let published = StreamPublishEventsRequest {
        sequence: 1,
        event: Some(event("nobody.wants.this")),
    };
    events.send(published.clone()).await.unwrap();
    let mut publishing = EventServiceClient::new(channel());
    let answers = publishing
        .stream_publish_events(ReceiverStream::new(sent))
        .await;
    let mut answers = answers.unwrap().into_inner();
    let first = within("an answer", answers.message()).await.unwrap();
    assert_eq!(first.unwrap().sequence, 1);

    home.revoke(ACME, &key.id).await;
    assert_revoked("the tail", end(tail.unwrap().into_inner())).await;
    assert_revoked("the watch", end(watch.unwrap().into_inner())).await;
    assert_revoked("publishing", end(answers)).await;
    drop(events);
}

#[tokio::test]
async fn a_tail_shows_the_attempts_of_its_tenant_alone() {
    let home = Home::open().await;
    let mut tails = Vec::new();
    let mut expected = Vec::new();
    for tenant in [ACME, "globex"] {
        let key = home.key(tenant, &[ApiKeyScope::Read]).await;
        let channel = shown(home.server.channel(), &key.key, "");
        let request = TailDeliveriesRequest::default();
        let mut deliveries = DeliveryServiceClient::new(channel);
        let tail = deliveries.tail_deliveries(request).await;
        tails.push(tail.unwrap().into_inner());
        let admin = || shown(home.server.channel(), &home.admin, tenant);
        subscribe(admin()).await;
        expected.push(publish(admin(), "order.created").await);
    }
    for (tail, event) in tails.iter_mut().zip(&expected) {
        let shown = within("an attempt", async {
            loop {
                let told = tail.message().await.unwrap().unwrap().event;
                if let Some(tail_deliveries_response::Event::Attempt(attempt)) = told {
                    return attempt.event_id;
                }
            }
        })
        .await;
        assert_eq!(&shown, event);
    }
}
