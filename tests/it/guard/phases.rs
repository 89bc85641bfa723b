//! Where an attempt's time goes, and failures told apart by where they happen;
//! over TLS, and HTTP/2 where it is offered.

use std::time::Duration;

use postrider::{
    dispatch::{HttpTransport, Received, Request, Transport},
    domain::{ErrorKind, Phases},
    proto::{DeliveryFilter, ListAttemptsRequest, Subscription},
};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::connect::{kind, request, resolver};
use crate::support::{
    Answer, Dns, Process, eventually,
    process::subscription,
    tls::{Authority, TlsReceiver},
};

/// Knows `*.client.example`, which are on this machine, and nothing else.
fn nameserver() -> Dns {
    Dns::start(|name| match name {
        name if name.ends_with("client.example") => {
            Answer::Addresses(vec!["127.0.0.1".parse().unwrap()])
        }
        "broken.example" => Answer::Failure,
        "empty.example" => Answer::Addresses(Vec::new()),
        _ => Answer::NoName,
    })
}

fn transport(authority: &Authority) -> HttpTransport {
    let resolver = resolver(&["127.0.0.0/8"], &nameserver());
    HttpTransport::new(resolver, vec![authority.root()]).unwrap()
}

/// Which phases there were: name, connection, TLS, first byte.
fn seen(received: &Received) -> [bool; 4] {
    let Phases {
        dns,
        connect,
        tls,
        first_byte,
    } = received.phases;
    [dns, connect, tls, first_byte].map(|phase| phase.is_some())
}

fn body(received: &Received) -> &[u8] {
    &received.response.as_ref().expect("it was answered").body
}

#[tokio::test]
async fn each_phase_is_told_where_it_happens() {
    let authority = Authority::new();
    let names = ["client.example", "127.0.0.1"];
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let receiver = TlsReceiver::start(&authority, &names, protocols).await;
        let transport = transport(&authority);
        let port = receiver.address.port();
        let by_name = format!("https://client.example:{port}/hooks?x=1");
        let first = transport.send(request(&by_name)).await;
        assert_eq!(kind(&first), None, "{first:?}");
        assert_eq!(body(&first), version.as_bytes());
        assert_eq!(seen(&first), [true; 4]);

        let kept = eventually("the connection to be used again", || async {
            let next = transport.send(request(&by_name)).await;
            assert_eq!(body(&next), version.as_bytes());
            (seen(&next) == [false, false, false, true]).then_some(())
        });
        kept.await;

        let by_address = format!("https://127.0.0.1:{port}/");
        let answered = transport.send(request(&by_address)).await;
        assert_eq!(seen(&answered), [false, true, true, true], "{answered:?}");
    }
}

#[tokio::test]
async fn requests_share_one_connection_of_http2() {
    let authority = Authority::new();
    let receiver = TlsReceiver::start(&authority, &["client.example"], &["h2"]).await;
    let transport = transport(&authority);
    let url = format!("https://client.example:{}/", receiver.address.port());
    let first = transport.send(request(&url)).await;
    assert_eq!(kind(&first), None, "{first:?}");
    let many = (0..50).map(|_| transport.send(request(&url)));
    for answered in futures_util::future::join_all(many).await {
        assert_eq!(body(&answered), b"HTTP/2.0");
        assert_eq!(answered.response.unwrap().peer, Some(receiver.address));
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn answers_over_http2_are_bounded_as_others_are() {
    let authority = Authority::new();
    let receiver = TlsReceiver::start(&authority, &["client.example"], &["h2"]).await;
    let transport = transport(&authority);
    let url = |path| format!("https://client.example:{}/{path}", receiver.address.port());
    for path in ["endless", "long-header", "many-headers"] {
        let answered = transport.send(request(&url(path))).await;
        let kind = kind(&answered);
        assert_eq!(
            kind,
            Some(ErrorKind::ResponseTooLarge),
            "{path}: {answered:?}"
        );
    }
    let impatient = Request {
        timeout: Duration::from_millis(300),
        ..request(&url("hang"))
    };
    let answered = transport.send(impatient).await;
    assert_eq!(kind(&answered), Some(ErrorKind::Timeout), "{answered:?}");
    let answered = transport.send(request(&url("fine"))).await;
    assert_eq!(body(&answered), b"HTTP/2.0", "{answered:?}");
}

#[tokio::test]
async fn failures_are_told_apart_by_where_they_happen() {
    let authority = Authority::new();
    let protocols = ["h2", "http/1.1"];
    let other_name = TlsReceiver::start(&authority, &["other.example"], &protocols).await;
    let unknown = Authority::new();
    let unknown = TlsReceiver::start(&unknown, &["client.example"], &protocols).await;
    let resets = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let resetting = resets.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = resets.accept().await {
            // Closed with something unread, a connection is reset.
            let _begun = stream.write_all(b"HTTP/1.1 200").await;
        }
    });
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = free.local_addr().unwrap().port();
    drop(free);

    let transport = transport(&authority);
    let cases = [
        (
            "http://unknown.example/".to_owned(),
            ErrorKind::Dns,
            [false; 4],
        ),
        (
            "http://broken.example/".to_owned(),
            ErrorKind::Dns,
            [false; 4],
        ),
        (
            "http://empty.example/".to_owned(),
            ErrorKind::Dns,
            [false; 4],
        ),
        (
            "http://10.0.0.1/".to_owned(),
            ErrorKind::Refused,
            [false; 4],
        ),
        (
            format!("http://client.example:{closed}/"),
            ErrorKind::Connect,
            [true, false, false, false],
        ),
        (
            format!("https://client.example:{}/", other_name.address.port()),
            ErrorKind::Tls,
            [true, true, false, false],
        ),
        (
            format!("https://client.example:{}/", unknown.address.port()),
            ErrorKind::Tls,
            [true, true, false, false],
        ),
        (
            format!("http://client.example:{resetting}/"),
            ErrorKind::Reset,
            [true, true, false, false],
        ),
    ];
    for (url, expected, phases) in cases {
        let answered = transport.send(request(&url)).await;
        assert_eq!(kind(&answered), Some(expected), "{url}: {answered:?}");
        assert_eq!(seen(&answered), phases, "{url}");
    }
}

#[tokio::test]
async fn the_server_trusts_the_configured_roots_and_logs_the_phases() {
    let authority = Authority::new();
    let receiver = TlsReceiver::start(&authority, &["client.example"], &["h2"]).await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("roots.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let dns = nameserver().address.to_string();
    let variables = [
        ("POSTRIDER_DELIVERY_NAMESERVERS", dns.as_str()),
        ("POSTRIDER_DELIVERY_CA_FILE", ca_file.to_str().unwrap()),
    ];
    let server = Process::start_with(&folder.path().join("data"), &variables).await;
    let url = format!("https://client.example:{}/", receiver.address.port());
    let Subscription { id, .. } = server.subscribe(subscription(url, &[])).await;
    server.publish("order.shipped", "{}").await;
    let attempt = eventually("the attempt", || async {
        let request = ListAttemptsRequest {
            filter: Some(DeliveryFilter {
                subscription_id: id.clone(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let reply = server.deliveries().list_attempts(request).await;
        reply.unwrap().into_inner().attempts.pop()
    })
    .await;
    assert_eq!(attempt.response_status, 200, "{attempt:?}");
    assert_eq!(&attempt.response_body[..], b"HTTP/2.0");
    let phases = attempt.phases.unwrap();
    for phase in [phases.dns, phases.connect, phases.tls, phases.first_byte] {
        assert!(phase.is_some(), "{phases:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_file_without_roots_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("roots.pem");
    std::fs::write(&ca_file, "hush").unwrap();
    let variables = [("POSTRIDER_DELIVERY_CA_FILE", ca_file.to_str().unwrap())];
    let data = folder.path().join("data");
    let refused = Process::start_under(&[], &data, &variables).await;
    let log = refused.err().expect("it does not start");
    let said = format!(
        "delivery.ca_file {} holds no certificate",
        ca_file.display()
    );
    assert!(log.contains(&said), "{log}");
}
