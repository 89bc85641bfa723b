//! TLS, as other people's programs see it.

pub mod certificates;
mod clients;

use std::{net::TcpListener, os::unix::fs::symlink, path::Path, process::Stdio};

use postrider::proto::{GetEventRequest, event_service_client::EventServiceClient};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use self::certificates::{Authority, Files};
use crate::support::{Process, Receiver, eventually, process::subscription, within};

/// What a program printed, and whether it was content.
async fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = within(program, command.kill_on_drop(true).output()).await;
    let output = output.expect("the program is there; tests/tools says so if it is not");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

async fn handshake(server: &Process, arguments: &[&str]) -> (bool, String) {
    let connect = ["s_client", "-connect", &server.address];
    run("openssl", &[&connect, arguments].concat()).await
}

/// Lists the services.
async fn list(server: &Process, arguments: &[&str]) -> (bool, String) {
    run("grpcurl", &[arguments, &[&server.address, "list"]].concat()).await
}

async fn start(data: &Path, files: &Files, more: &[(&str, &str)]) -> Process {
    let tls = [
        ("POSTRIDER_TLS_CERT_FILE", &*files.certificate),
        ("POSTRIDER_TLS_KEY_FILE", &*files.key),
    ];
    Process::start_with(data, &[&tls, more].concat()).await
}

#[tokio::test]
async fn tls_from_1_2_on_is_spoken_and_http2_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new(folder.path(), "authority").server("server");
    let server = start(&folder.path().join("data"), &files, &[]).await;
    for (version, alpn, is_spoken) in [
        ("-tls1_1", "h2", false),
        ("-tls1_2", "h2", true),
        ("-tls1_3", "h2", true),
        ("-tls1_3", "http/1.1", false),
    ] {
        // Lets openssl speak what it would not by itself.
        let cipher = ["-cipher", "DEFAULT@SECLEVEL=0"];
        let arguments = [&[version, "-alpn", alpn], &cipher[..]].concat();
        let (_, told) = handshake(&server, &arguments).await;
        assert_eq!(
            told.contains("ALPN protocol: h2"),
            is_spoken,
            "{version} {alpn}: {told}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn whoever_trusts_the_authority_is_served_and_nobody_in_plaintext() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let stranger = Authority::new(folder.path(), "stranger");
    let files = authority.server("server");
    let server = start(&folder.path().join("data"), &files, &[]).await;
    let (welcome, told) = list(&server, &["-cacert", &authority.file]).await;
    assert!(
        welcome && told.contains("postrider.v1.EventService"),
        "{told}"
    );
    let refused = ["-max-time", "5", "-connect-timeout", "5"];
    let strange = [&refused[..], &["-cacert", &stranger.file]].concat();
    assert!(!list(&server, &strange).await.0);
    let plaintext = [&refused[..], &["-plaintext"]].concat();
    assert!(!list(&server, &plaintext).await.0);
    server.stop().await;
}

#[tokio::test]
async fn a_client_has_to_show_a_certificate_where_one_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let stranger = Authority::new(folder.path(), "stranger");
    let (files, client) = (authority.server("server"), authority.client("client"));
    let strange = stranger.client("strange");
    let trust = ["-cacert", &*authority.file, "-connect-timeout", "5"];
    for (auth, unknown_is_served) in [("required", false), ("optional", true)] {
        let more = [
            ("POSTRIDER_TLS_CLIENT_CA_FILE", &*authority.file),
            ("POSTRIDER_TLS_CLIENT_AUTH", auth),
        ];
        let server = start(&folder.path().join(auth), &files, &more).await;
        assert!(list(&server, &showing(&trust, &client)).await.0, "{auth}");
        assert_eq!(list(&server, &trust).await.0, unknown_is_served, "{auth}");
        // grpcurl does not show what the server would not take; openssl does.
        let shows = showing(&["-tls1_2"], &strange);
        let (welcome, told) = handshake(&server, &shows).await;
        assert!(!welcome, "{auth}: {told}");
        server.stop().await;
    }
}

/// Arguments of a client that shows a certificate.
fn showing<'a>(trust: &[&'a str], files: &'a Files) -> Vec<&'a str> {
    let shows = ["-cert", &*files.certificate, "-key", &*files.key];
    [trust, &shows].concat()
}

/// Points the links that the server reads at a folder, as Kubernetes does.
fn point(links: &Path, files: &Files) {
    let target = links.join("..next");
    std::fs::create_dir_all(links).unwrap();
    for (name, file) in [("tls.crt", &files.certificate), ("tls.key", &files.key)] {
        symlink(file, &target).unwrap();
        std::fs::rename(&target, links.join(name)).unwrap();
    }
}

#[tokio::test]
async fn certificates_are_read_again_without_dropping_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let mounted = folder.path().join("mounted");
    point(&mounted, &authority.server("first"));
    let linked = |name: &str| mounted.join(name).to_str().unwrap().to_owned();
    let files = Files {
        certificate: linked("tls.crt"),
        key: linked("tls.key"),
    };
    let server = start(&folder.path().join("data"), &files, &[]).await;
    let receiver = Receiver::accepting().await;
    let call = async |method: &str, request: serde_json::Value| {
        let data = request.to_string();
        let method = format!("postrider.v1.{method}");
        let trust = ["-cacert", &*authority.file, "-d", &data];
        let (welcome, told) = run(
            "grpcurl",
            &[&trust[..], &[&server.address, &method]].concat(),
        )
        .await;
        assert!(welcome, "{told}");
    };
    let subscription = subscription(receiver.url("/"), &[]);
    let subscribe = json!({"subscription": {"url": subscription.url, "events": ["*"]}});
    call("SubscriptionService/CreateSubscription", subscribe).await;
    let mut tail = Command::new("grpcurl")
        .args([
            "-cacert",
            &authority.file,
            "-d",
            "{\"startTime\": \"2024-01-01T00:00:00Z\"}",
        ])
        .args([
            &server.address,
            "postrider.v1.DeliveryService/TailDeliveries",
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let publish = json!({"event": {"type": "order.shipped", "json": 1}});
    let mut next_attempt = async || {
        call("EventService/PublishEvent", publish.clone()).await;
        within("an attempt", async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("\"attempt\"") {
                    return;
                }
            }
            panic!("the tail has ended");
        })
        .await;
    };
    next_attempt().await;
    let shown = async || {
        let (_, told) = handshake(&server, &["-alpn", "h2"]).await;
        told.lines()
            .find(|line| line.contains("subject="))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(shown().await.contains("first"));
    point(&mounted, &authority.server("second"));
    eventually("the new certificate", async || {
        shown().await.contains("second").then_some(())
    })
    .await;
    next_attempt().await;
    drop(tail);
    server.stop().await;
}

#[tokio::test]
async fn health_is_answered_in_plaintext_at_an_address_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new(folder.path(), "authority").server("server");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let address = free.to_string();
    let more = [("POSTRIDER_SERVER_HEALTH_LISTEN", &*address)];
    let server = start(&folder.path().join("data"), &files, &more).await;
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    for service in ["startup", "liveness", "readiness"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let request = GetEventRequest::default();
    let refused = EventServiceClient::new(channel).get_event(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);
    server.stop().await;
}
