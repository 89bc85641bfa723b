//! What is refused when a subscription is created or changed.

use std::net::IpAddr;

use postrider::proto::{CreateSubscriptionRequest, Subscription, UpdateSubscriptionRequest};
use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::corpus;
use crate::support::{Answer, Dns, Process, process::subscription};

/// A server that excepts these networks and asks this nameserver.
async fn server(folder: &tempfile::TempDir, allow: &str, dns: &Dns) -> Process {
    let nameserver = dns.address.to_string();
    let variables = [
        ("POSTRIDER_DELIVERY_ALLOW", allow),
        ("POSTRIDER_DELIVERY_NAMESERVERS", nameserver.as_str()),
    ];
    Process::start_with(folder.path(), &variables).await
}

async fn create(server: &Process, url: &str) -> Result<Subscription, Status> {
    let request = CreateSubscriptionRequest {
        subscription: Some(subscription(url.to_owned(), &[])),
        ..Default::default()
    };
    let reply = server.subscriptions().create_subscription(request).await;
    reply.map(tonic::Response::into_inner)
}

async fn update(server: &Process, id: &str, url: &str) -> Result<Subscription, Status> {
    let request = UpdateSubscriptionRequest {
        subscription: Some(Subscription {
            id: id.to_owned(),
            url: url.to_owned(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["url".to_owned()],
        }),
        validate_only: false,
    };
    let reply = server.subscriptions().update_subscription(request).await;
    reply.map(tonic::Response::into_inner)
}

/// What is wrong with the one field that is.
fn told(refused: &Status) -> String {
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    let [violation] = violations.as_slice() else {
        panic!("one field is wrong: {violations:?}");
    };
    assert_eq!(violation.field, "subscription.url");
    violation.description.clone()
}

#[tokio::test]
async fn the_corpus_holds_when_subscriptions_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder, "", &corpus::nameserver()).await;
    let changed = create(&server, "https://1.1.1.1/").await.unwrap();
    let mut wrong = Vec::new();
    for row in corpus::rows() {
        let created = create(&server, row.url).await;
        let updated = update(&server, &changed.id, row.url).await;
        // Nothing is wrong with a name yet that changes its answers later.
        let is_allowed = row.is_allowed || row.is_rebinding();
        for written in [created, updated] {
            if written.is_ok() != is_allowed {
                wrong.push(format!("{} ({}): {written:?}", row.url, row.why));
            }
            if let Err(refused) = &written {
                assert!(told(refused).starts_with("must "), "{refused:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    server.stop().await;
}

#[tokio::test]
async fn a_name_is_refused_only_for_what_is_known_of_it() {
    let addresses = |text: &[&str]| {
        let addresses = text.iter().map(|text| text.parse::<IpAddr>().unwrap());
        Answer::Addresses(addresses.collect())
    };
    let dns = Dns::start(move |name| match name {
        "mixed.example" => addresses(&["93.184.215.14", "192.168.0.1"]),
        "empty.example" => Answer::Addresses(Vec::new()),
        "chain.example" => Answer::Alias("link.example".to_owned()),
        "link.example" => Answer::Alias("inside.example".to_owned()),
        "inside.example" => addresses(&["10.0.0.1"]),
        "long.example" => Answer::TooLong(
            "93.184.215.14 10.9.8.7"
                .split(' ')
                .map(|text| text.parse().unwrap())
                .collect(),
        ),
        "text.example" => Answer::Text("127.0.0.1"),
        "garbage.example" => Answer::Garbage(b"HTTP/1.1 400 Bad Request".to_vec()),
        "broken.example" => Answer::Failure,
        "silent.example" => Answer::Silence,
        _ => Answer::NoName,
    });
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder, "", &dns).await;
    for (name, expected) in [
        (
            "mixed.example",
            Some(
                "192.168.0.1 is a private address (192.168.0.0/16); the operator can allow it (delivery.allow)",
            ),
        ),
        (
            "chain.example",
            Some(
                "10.0.0.1 is a private address (10.0.0.0/8); the operator can allow it (delivery.allow)",
            ),
        ),
        (
            "long.example",
            Some(
                "10.9.8.7 is a private address (10.0.0.0/8); the operator can allow it (delivery.allow)",
            ),
        ),
        ("empty.example", Some("empty.example has no address")),
        ("text.example", Some("text.example has no address")),
        ("garbage.example", None),
        ("broken.example", None),
        ("silent.example", None),
        ("unknown.example", None),
    ] {
        let written = create(&server, &format!("https://{name}/")).await;
        let told = written.as_ref().err().map(told);
        let expected = expected.map(|why| format!("must lead to where deliveries may go: {why}"));
        assert_eq!(told, expected, "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn exceptions_open_networks_and_never_metadata() {
    let dns = Dns::start(|name| match name {
        "orders.default.svc" => Answer::Addresses(vec!["10.1.2.3".parse().unwrap()]),
        "public.default.svc" => Answer::Addresses(vec!["8.8.8.8".parse().unwrap()]),
        _ => Answer::NoName,
    });
    let folder = tempfile::tempdir().unwrap();
    let allow = "127.0.0.0/8, 10.1.0.0/16:8080, 0.0.0.0/0:9, ::/0:9";
    let server = server(&folder, allow, &dns).await;
    for (url, is_allowed) in [
        ("http://127.0.0.1:8080/", true),
        ("http://10.1.2.3:8080/", true),
        ("http://10.1.2.3/", false),
        ("http://orders.default.svc:8080/", true),
        ("http://orders.default.svc/", false),
        ("http://public.default.svc/", false),
        ("http://192.168.0.1:9/", true),
        ("http://[fc00::1]:9/", true),
        ("http://169.254.169.254:9/", false),
        ("http://[fd00:ec2::254]:9/", false),
        ("http://[64:ff9b::a9fe:a9fe]:9/", false),
        ("http://[::1]/", false),
        ("http://localhost/", false),
    ] {
        let written = create(&server, url).await;
        assert_eq!(written.is_ok(), is_allowed, "{url}: {written:?}");
    }
    server.stop().await;
}
