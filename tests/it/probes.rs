//! What health tells when the system runs short, and that the end is bounded
//! whatever clients do.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use postrider::proto::Subscription;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};
use tokio_rustls::TlsConnector;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    abuse::raw::{DATA, END_STREAM, PING, PREFACE, Raw, SETTINGS, frame, headers, headers_of},
    support::{Process, Receiver, eventually, process::subscription, within},
    tls::certificates::Authority,
};

async fn status(server: &Process, service: &str) -> ServingStatus {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let reply = HealthClient::new(server.channel()).check(request).await;
    reply.expect("health is answered").into_inner().status()
}

#[tokio::test]
async fn callers_cannot_take_the_files_of_the_store() {
    for engine in ["sled", "fjall"] {
        let folder = tempfile::tempdir().unwrap();
        let few = ["prlimit", "--nofile=256:256"].map(str::to_owned);
        let engine = [("POSTRIDER_STORAGE_ENGINE", engine)];
        let server = Process::start_under(&few, folder.path(), &engine);
        let server = server.await.unwrap();
        let receiver = Receiver::accepting().await;
        server.subscribe(subscription(receiver.url("/"), &[])).await;
        let mut taken = Vec::new();
        for _ in 0..400 {
            taken.push(Raw::open(&server.address).await);
        }
        // The first event opens the store of the day, and large ones make fjall
        // open tables.
        let large = format!("\"{}\"", "1".repeat(200_000));
        for _ in 0..60 {
            server.publish("a", &large).await;
        }
        receiver.wait_for(60).await;
        assert_eq!(status(&server, "readiness").await, ServingStatus::Serving);
        drop(taken);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_server_without_a_file_left_is_not_ready_and_returns_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let few = ["prlimit", "--nofile=96:96"].map(str::to_owned);
    let server = Process::start_under(&few, folder.path(), &[])
        .await
        .unwrap();
    let receiver = Receiver::accepting().await;
    let late = Subscription {
        events: vec!["late".to_owned()],
        ..subscription(receiver.url("/"), &[])
    };
    server.subscribe(late).await;
    server.publish("a", "{}").await;
    assert_eq!(status(&server, "readiness").await, ServingStatus::Serving);
    let limit = async |files: usize| {
        let (id, files) = (server.id().to_string(), format!("--nofile={files}:96"));
        let limited = Command::new("prlimit")
            .args(["--pid", &id, &files])
            .status();
        assert!(limited.await.unwrap().success());
    };
    // As if something in the process had all there are.
    limit(1).await;
    let waiting = Raw::open(&server.address).await;
    let began = Instant::now();
    eventually("readiness to fall", async || {
        let status = status(&server, "readiness").await;
        (status == ServingStatus::NotServing).then_some(())
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(status(&server, "liveness").await, ServingStatus::Serving);
    // No file is left to connect to the receiver, which is not to blame.
    server.publish("late", "{}").await;
    limit(96).await;
    drop(waiting);
    eventually("readiness to return", async || {
        let status = status(&server, "readiness").await;
        (status == ServingStatus::Serving).then_some(())
    })
    .await;
    server.publish("a", "{}").await;
    let late = receiver.wait_for(1).await.remove(0);
    assert_eq!(late.header("webhook-attempt"), "1");
    server.stop().await;
}

/// A connection over TLS that began HTTP/2 as it should.
async fn over_tls(
    address: &str,
    authority: &str,
) -> impl AsyncRead + AsyncWrite + Unpin + Send + use<> {
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_file(Path::new(authority)).unwrap();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&begin).await.unwrap();
    stream
}

#[tokio::test]
async fn a_shutdown_is_bounded_whatever_clients_over_tls_do() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let files = authority.server("server");
    let tls = [
        ("POSTRIDER_TLS_CERT_FILE", &*files.certificate),
        ("POSTRIDER_TLS_KEY_FILE", &*files.key),
    ];
    let server = Process::start_with(&folder.path().join("data"), &tls).await;
    let address = server.address.as_str();

    let _says_nothing = TcpStream::connect(address).await.unwrap();
    let mut half_a_handshake = TcpStream::connect(address).await.unwrap();
    // The head of a record of 512 bytes, and nothing of it.
    half_a_handshake.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    let _idle = over_tls(address, &authority.file).await;
    let mut half_a_request = over_tls(address, &authority.file).await;
    let half = [headers(1, 0), frame(DATA, 0, 1, &[0, 0, 0, 0, 9])];
    half_a_request.write_all(&half.concat()).await.unwrap();
    let mut unread_tails = over_tls(address, &authority.file).await;
    for n in 0..50 {
        let path = "/postrider.v1.DeliveryService/TailDeliveries";
        let tail = [
            headers_of(path, 2 * n + 1, 0),
            frame(DATA, END_STREAM, 2 * n + 1, &[0; 5]),
        ];
        unread_tails.write_all(&tail.concat()).await.unwrap();
    }
    let mut never_reads = over_tls(address, &authority.file).await;
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(20_000);
    // Until the server waits for its pongs to be read, or all are taken.
    let _ = tokio::time::timeout(Duration::from_secs(2), never_reads.write_all(&pings)).await;
    // What was sent last has arrived once something comes back.
    let mut first = [0; 9];
    within("an answer", half_a_request.read_exact(&mut first))
        .await
        .unwrap();

    let began = Instant::now();
    let log = server.stop().await;
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(10),
        "{took:?}: {}",
        log.join("\n")
    );
}
