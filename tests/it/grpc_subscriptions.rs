//! Subscriptions over gRPC: what is repeated, checked only, or changed twice.

use postrider::proto::{
    CreateSubscriptionRequest, ListSubscriptionsRequest, Subscription, UpdateSubscriptionRequest,
};
use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{Process, process::subscription};

fn wanted() -> Subscription {
    subscription("http://127.0.0.1:9/".to_owned(), &[])
}

async fn create(
    server: &Process,
    request: CreateSubscriptionRequest,
) -> Result<Subscription, Status> {
    let reply = server.subscriptions().create_subscription(request).await;
    reply.map(tonic::Response::into_inner)
}

async fn update(server: &Process, to: Subscription, path: &str) -> Result<Subscription, Status> {
    let request = UpdateSubscriptionRequest {
        subscription: Some(to),
        update_mask: Some(FieldMask {
            paths: vec![path.to_owned()],
        }),
        validate_only: false,
    };
    let reply = server.subscriptions().update_subscription(request).await;
    reply.map(tonic::Response::into_inner)
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test]
async fn a_repeated_creation_returns_the_first_with_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let request = CreateSubscriptionRequest {
        subscription: Some(wanted()),
        request_id: "once".to_owned(),
        validate_only: false,
    };
    let first = create(&server, request.clone()).await.unwrap();
    assert!(first.secret.starts_with("whsec_"));
    assert_eq!(create(&server, request.clone()).await.unwrap(), first);

    let other = CreateSubscriptionRequest {
        subscription: Some(Subscription {
            description: "another".to_owned(),
            ..wanted()
        }),
        ..request
    };
    let refused = create(&server, other).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
    server.stop().await;
}

#[tokio::test]
async fn a_checked_subscription_is_not_created_and_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let request = CreateSubscriptionRequest {
        subscription: Some(wanted()),
        request_id: String::new(),
        validate_only: true,
    };
    let checked = create(&server, request).await.unwrap();
    assert_eq!((checked.id.as_str(), checked.secret.as_str()), ("", ""));
    assert_eq!(checked.max_in_flight, 64);
    let list = ListSubscriptionsRequest::default();
    let listed = server.subscriptions().list_subscriptions(list).await;
    assert_eq!(listed.unwrap().into_inner().subscriptions, []);
    server.stop().await;
}

#[tokio::test]
async fn an_update_needs_the_etag_it_names_and_writes_only_what_changes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let mut read = server.subscribe(wanted()).await;
    read.secret.clear();
    let same = update(&server, read.clone(), "*").await.unwrap();
    assert_eq!(same, read);

    let described = Subscription {
        description: "described".to_owned(),
        ..read.clone()
    };
    let changed = update(&server, described, "description").await.unwrap();
    assert_eq!(changed.description, "described");
    assert_ne!(changed.etag, read.etag);

    let refused = update(&server, read, "url").await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert_eq!(reason(&refused), "ETAG_MISMATCH");
    server.stop().await;
}

#[tokio::test]
async fn the_details_of_a_hopeless_request_fit_into_trailers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let request = CreateSubscriptionRequest {
        subscription: Some(Subscription {
            events: vec!["?".to_owned(); 100],
            headers: [(" ".repeat(100_000), String::new())].into(),
            ..wanted()
        }),
        ..Default::default()
    };
    let refused = create(&server, request).await.unwrap_err();
    assert_eq!(reason(&refused), "VALIDATION_FAILED");
    assert!(refused.details().len() + refused.message().len() < 8 * 1_024);
    server.stop().await;
}
