//! Replays by the real server: at their rate, over kills, and until they are
//! cancelled.

use std::collections::BTreeSet;

use postrider::proto::{
    CancelReplayRequest, CreateReplayRequest, DeleteSubscriptionRequest,
    DisableSubscriptionRequest, EnableSubscriptionRequest, GetReplayRequest, ListAttemptsRequest,
    Replay, ReplayFilter, ReplayMode, ReplayState, Subscription, WatchReplayRequest,
};

use crate::support::{Process, Receiver, eventually, process::subscription, within};

/// Publishes so many events while the subscription is disabled.
async fn miss(server: &Process, missing: &Subscription, events: usize) {
    let id = || missing.id.clone();
    let request = DisableSubscriptionRequest {
        id: id(),
        ..Default::default()
    };
    let disabled = server.subscriptions().disable_subscription(request).await;
    disabled.unwrap();
    for n in 0..events {
        let json = format!("{{\"n\":{n}}}");
        let published = server.publish("order.shipped", &json).await;
        assert_eq!(published.delivery_count, 0);
    }
    let request = EnableSubscriptionRequest { id: id() };
    let enabled = server.subscriptions().enable_subscription(request).await;
    enabled.unwrap();
}

async fn create(server: &Process, to: &Subscription, rate_limit: u32) -> Replay {
    let replay = Replay {
        filter: Some(ReplayFilter {
            subscription_id: to.id.clone(),
            ..Default::default()
        }),
        mode: ReplayMode::Missing.into(),
        rate_limit,
        ..Default::default()
    };
    let request = CreateReplayRequest {
        replay: Some(replay),
        validate_only: false,
    };
    let created = server.replays().create_replay(request).await;
    created.unwrap().into_inner()
}

/// The last that a watch of the replay shows.
async fn ended(server: &Process, id: &str) -> Replay {
    let request = WatchReplayRequest { id: id.to_owned() };
    let watch = server.replays().watch_replay(request).await;
    let mut watch = watch.unwrap().into_inner();
    within("the replay to end", async {
        let mut last = None;
        while let Some(shown) = watch.message().await.unwrap() {
            last = shown.replay;
        }
        last.unwrap()
    })
    .await
}

#[tokio::test]
async fn a_replay_goes_on_after_a_kill_and_begins_nothing_twice() {
    const EVENTS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::accepting().await;
    let missing = server
        .subscribe(subscription(receiver.url("/"), &[50]))
        .await;
    miss(&server, &missing, EVENTS).await;
    let replay = create(&server, &missing, 40).await;
    assert_eq!(replay.total, EVENTS as u64);
    receiver.wait_for(EVENTS / 4).await;
    server.kill().await;
    let begun = receiver.received().len();
    assert!(begun < EVENTS, "it was over before it was killed");

    let server = Process::start(folder.path()).await;
    let over = ended(&server, &replay.id).await;
    assert_eq!(over.state(), ReplayState::Completed);
    let all = EVENTS as u64;
    assert_eq!((over.done, over.succeeded, over.failed), (all, all, 0));
    let requests = receiver.received();
    let ids = requests.iter().map(|request| request.header("webhook-id"));
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), EVENTS);
    // What was under way when it was killed is sent again, and nothing else.
    let request = ListAttemptsRequest {
        page_size: 1_000,
        ..Default::default()
    };
    let attempts = server.deliveries().list_attempts(request).await.unwrap();
    assert_eq!(attempts.into_inner().attempts.len(), EVENTS);
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_replay_begins_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::accepting().await;
    let missing = server
        .subscribe(subscription(receiver.url("/"), &[50]))
        .await;
    miss(&server, &missing, 20).await;
    let replay = create(&server, &missing, 2).await;
    receiver.wait_for(1).await;
    let id = replay.id.clone();
    let cancelled = server
        .replays()
        .cancel_replay(CancelReplayRequest { id })
        .await;
    let cancelled = cancelled.unwrap().into_inner();
    assert_eq!(cancelled.state(), ReplayState::Cancelled);
    assert!(cancelled.done < 20);
    assert_eq!(ended(&server, &replay.id).await, cancelled);
    let begun = usize::try_from(cancelled.done).unwrap();
    receiver.wait_for(begun).await;
    // Another one begins after it, and what is left is still missing.
    let rest = create(&server, &missing, 1_000).await;
    assert_eq!(rest.total, 20 - cancelled.done);
    let over = ended(&server, &rest.id).await;
    assert_eq!(
        (over.state(), over.done),
        (ReplayState::Completed, rest.total)
    );
    assert_eq!(receiver.received().len(), 20);
    let id = replay.id.clone();
    let request = GetReplayRequest { id };
    let found = server.replays().get_replay(request).await.unwrap();
    assert_eq!(found.into_inner(), cancelled);
    server.stop().await;
}

#[tokio::test]
async fn a_replay_to_a_deleted_subscription_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::accepting().await;
    let missing = server
        .subscribe(subscription(receiver.url("/"), &[50]))
        .await;
    miss(&server, &missing, 20).await;
    let replay = create(&server, &missing, 1).await;
    let request = DeleteSubscriptionRequest {
        id: missing.id.clone(),
        ..Default::default()
    };
    server
        .subscriptions()
        .delete_subscription(request)
        .await
        .unwrap();
    eventually("the replay to be cancelled", async || {
        let id = replay.id.clone();
        let found = server.replays().get_replay(GetReplayRequest { id }).await;
        let found = found.unwrap().into_inner();
        (found.state() == ReplayState::Cancelled).then_some(())
    })
    .await;
    server.stop().await;
}
