//! Every request at a receiver is an attempt in the log, and carries nothing
//! that an answer or the environment put there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use postrider::{
    dispatch::{HttpTransport, Transport},
    domain::ErrorKind,
    proto::ListAttemptsRequest,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::connect::{Canary, kind, request, resolver};
use crate::support::{Dns, Process, Receiver, Reply, eventually, process::subscription};

#[tokio::test]
async fn nothing_is_followed_proxied_remembered_or_sent_twice() {
    let elsewhere = Canary::listen(([127, 0, 0, 1].into(), 0)).await.unwrap();
    let proxy = format!("http://{}", elsewhere.address);
    let location = format!("{proxy}/elsewhere");
    let receiver = Receiver::start(move |_, number| {
        let cookie = ("set-cookie", "session=1; Path=/".to_owned());
        match number {
            0 => Reply::Full(
                302,
                vec![cookie, ("location", location.clone())],
                String::new(),
            ),
            1 => Reply::Full(503, vec![cookie], String::new()),
            2 => Reply::Full(407, vec![cookie], String::new()),
            _ => Reply::Full(200, vec![cookie], String::new()),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ]
    .map(|name| (name, proxy.as_str()));
    let server = Process::start_with(folder.path(), &variables).await;
    let delays = [10, 10, 10, 10];
    server
        .subscribe(subscription(receiver.url("/hooks"), &delays))
        .await;
    server.publish("order.shipped", "{}").await;
    server.publish("order.paid", "{}").await;
    receiver.wait_for(5).await;
    let attempts = eventually("the log of 5 attempts", || async {
        let request = ListAttemptsRequest::default();
        let reply = server.deliveries().list_attempts(request).await;
        let attempts = reply.unwrap().into_inner().attempts;
        (attempts.len() >= 5).then_some(attempts)
    })
    .await;
    server.stop().await;

    let requests = receiver.received();
    assert_eq!(requests.len(), attempts.len());
    assert_eq!(elsewhere.seen(), 0);
    for request in requests {
        for header in [
            "cookie",
            "referer",
            "proxy-authorization",
            "accept-encoding",
            "via",
        ] {
            let sent = request.headers.iter().any(|(name, _)| name == header);
            assert!(!sent, "{header}: {request:?}");
        }
    }
}

/// Closes each connection, without having said so, after one answer: at once,
/// or when the next request may be on its way.
async fn serve_once(mut stream: TcpStream, number: usize, seen: &AtomicUsize) {
    let mut request = Vec::new();
    while !request.ends_with(b"{}") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        request.push(byte);
    }
    seen.fetch_add(1, Ordering::SeqCst);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    // Whoever has hung up wants no answer.
    let _sent = stream.write_all(answer).await;
    if number.is_multiple_of(2) {
        tokio::time::sleep(Duration::from_micros(number as u64 * 10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_reaches_a_receiver_that_hangs_up_once_or_not_at_all() {
    const SENT: usize = 300;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let counted = Arc::clone(&counted);
            tokio::spawn(async move { serve_once(stream, number, &counted).await });
        }
    });
    let resolver = resolver(&["127.0.0.0/8"], Dns::of_nobody());
    let transport = HttpTransport::new(resolver, Vec::new()).unwrap();
    let mut delivered = 0;
    for _ in 0..SENT {
        let received = transport.send(request(&url)).await;
        match kind(&received) {
            None => delivered += 1,
            // It crossed the end of the connection.
            Some(ErrorKind::Reset) => {}
            Some(_) => panic!("{received:?}"),
        }
    }
    assert_eq!(seen.load(Ordering::SeqCst), delivered);
    assert!(delivered > SENT / 2, "{delivered}");
}
