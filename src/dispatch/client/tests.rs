//! The transport against real sockets that misbehave in one way each.

use std::{future::Future, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use bytes::Bytes;

use super::*;
use crate::{domain::Guard, resolve::Settings};

/// More than a test should take that waits for no timeout.
const SOON: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_millis(500);

/// Serves each connection with the function.
async fn serve<F>(each: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that hangs up is what these tests provoke.
            tokio::spawn(each(stream));
        }
    });
    address
}

/// Answers every request with these bytes and hangs up.
async fn answering(answer: impl Into<Bytes>) -> SocketAddr {
    let answer = answer.into();
    serve(move |mut stream| {
        let answer = answer.clone();
        async move {
            read_head(&mut stream).await?;
            stream.write_all(&answer).await?;
            stream.shutdown().await
        }
    })
    .await
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

fn request(url: &str, timeout: Duration) -> Request {
    Request {
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout,
    }
}

/// A transport that calls this machine.
fn transport() -> HttpTransport {
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let resolver = Resolver::new(guard, &Settings::default()).unwrap();
    HttpTransport::new(resolver, Vec::new()).unwrap()
}

async fn send(request: Request) -> Received {
    transport().send(request).await
}

async fn post(address: SocketAddr) -> Received {
    send(request(&format!("http://{address}/"), SOON)).await
}

fn kind(received: &Received) -> Option<ErrorKind> {
    received.failure.as_ref().map(|failure| failure.kind)
}

#[tokio::test]
async fn an_answer_is_read_whole() {
    let address = answering(
        "HTTP/1.1 410 Gone\r\nX-One: 1\r\nx-one: 2\r\nRetry-After: 7\r\ncontent-length: 4\r\n\r\nbye!",
    )
    .await;
    let received = post(address).await;
    assert_eq!(received.failure, None);
    assert!(received.phases.first_byte.is_some());
    let response = received.response.unwrap();
    let headers = crate::dispatch::request::logged(&response.headers);
    assert_eq!(response.status, 410);
    assert_eq!(&response.body[..], b"bye!");
    assert!(!response.truncated);
    assert_eq!(response.peer, Some(address));
    let expected = [
        ("x-one", "1"),
        ("x-one", "2"),
        ("retry-after", "7"),
        ("content-length", "4"),
    ];
    assert_eq!(
        headers,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = serve(|_| async { panic!("the redirect was followed") }).await;
    let answer = format!(
        "HTTP/1.1 301 Moved Permanently\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n"
    );
    let received = post(answering(answer).await).await;
    assert_eq!(received.response.as_ref().unwrap().status, 301);
    let expected = "the endpoint answered 301 Moved Permanently; redirects are not followed";
    assert_eq!(received.error_message(), expected);
}

#[tokio::test]
async fn connections_are_reused() {
    let address = serve(|mut stream| async move {
        for served in 0.. {
            read_head(&mut stream).await?;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{served}");
            stream.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    })
    .await;
    let transport = transport();
    let url = format!("http://{address}/");
    let first = transport.send(request(&url, SOON)).await;
    assert_eq!(&first.response.unwrap().body[..], b"0");
    // The connection is back in the pool only a moment after the answer.
    let reused = async {
        while transport
            .send(request(&url, SOON))
            .await
            .response
            .unwrap()
            .body
            == "0"
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, reused).await.unwrap();
}

#[tokio::test]
async fn failures_are_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = post(free).await;
    assert_eq!(kind(&refused), Some(ErrorKind::Connect), "{refused:?}");
    assert!(
        refused.error_message().contains("Connection refused"),
        "{refused:?}"
    );

    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(33 * 1024));
    let longer = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
        "y".repeat(2 * 1024 * 1024)
    );
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let cases = [
        (String::new(), ErrorKind::Reset),
        ("HTTP/1.1 200 OK\r\ncontent-le".to_owned(), ErrorKind::Reset),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_owned(),
            ErrorKind::Reset,
        ),
        (format!("{chunked}4\r\nha"), ErrorKind::Reset),
        (format!("{chunked}zzz\r\n"), ErrorKind::Protocol),
        (
            "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(),
            ErrorKind::Protocol,
        ),
        ("HTTP/1.1 2000 OK\r\n\r\n".to_owned(), ErrorKind::Protocol),
        (many, ErrorKind::ResponseTooLarge),
        (long, ErrorKind::ResponseTooLarge),
        (longer, ErrorKind::ResponseTooLarge),
    ];
    for (answer, expected) in cases {
        let start = answer[..answer.len().min(60)].to_owned();
        let received = post(answering(answer).await).await;
        assert_eq!(
            kind(&received),
            Some(expected),
            "{start:?}: {:?}",
            received.failure
        );
        assert!(!received.error_message().is_empty());
    }
}

#[tokio::test]
async fn a_broken_answer_is_kept_as_far_as_it_came() {
    let address = answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let received = post(address).await;
    let response = received.response.unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"half"[..]));
}

#[tokio::test]
async fn an_unknown_host_is_a_dns_failure() {
    let received = send(request("http://nonexistent.invalid/", SOON)).await;
    assert_eq!(kind(&received), Some(ErrorKind::Dns), "{received:?}");
}

#[tokio::test]
async fn tls_to_something_else_is_a_tls_failure() {
    let plain = serve(|mut stream| async move {
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await?;
        stream.shutdown().await
    })
    .await;
    let silent = serve(|mut stream| async move {
        let _ = stream.read_u8().await?;
        stream.shutdown().await
    })
    .await;
    for address in [plain, silent] {
        let received = send(request(&format!("https://{address}/"), SOON)).await;
        assert_eq!(kind(&received), Some(ErrorKind::Tls), "{received:?}");
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let address = serve(|mut stream| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        loop {
            stream.write_all(&[b'x'; 4096]).await?;
        }
    })
    .await;
    let received = post(address).await;
    assert_eq!(kind(&received), Some(ErrorKind::ResponseTooLarge));
    let response = received.response.unwrap();
    assert_eq!(response.body.len(), Attempt::MAX_KEPT_OF_TOO_LARGE);
    assert!(response.truncated);
}

#[tokio::test]
async fn answers_of_1xx_are_passed_over_and_not_for_ever() {
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let some = format!("{}HTTP/1.1 204 No Content\r\n\r\n", early.repeat(9));
    assert_eq!(post(answering(some).await).await.failure, None);
    let address = serve(move |mut stream| async move {
        read_head(&mut stream).await?;
        loop {
            stream.write_all(early.as_bytes()).await?;
        }
    })
    .await;
    let received = send(request(
        &format!("http://{address}/"),
        Duration::from_secs(20),
    ))
    .await;
    assert_eq!(kind(&received), Some(ErrorKind::ResponseTooLarge));
}

#[tokio::test]
async fn a_body_of_64_kib_is_an_answer() {
    let body = "x".repeat(Attempt::MAX_READ_BODY);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let received = post(answering(format!("{head}{body}")).await).await;
    assert_eq!(received.failure, None);
    let response = received.response.unwrap();
    assert_eq!(response.body.len(), Attempt::MAX_KEPT_BODY);
    assert!(response.truncated);
}

/// Whatever a receiver does to gain time, the attempt ends.
#[tokio::test]
async fn one_deadline_bounds_everything() {
    let hung = |stream: TcpStream| async move {
        let _open = stream;
        std::future::pending().await
    };
    let silent = serve(hung).await;
    let head_drips = serve(|mut stream| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await?;
        drip(stream).await
    })
    .await;
    let body_drips = serve(|mut stream| async move {
        read_head(&mut stream).await?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n")
            .await?;
        drip(stream).await
    })
    .await;
    let timeout = Duration::from_secs(1);
    let large = Bytes::from(vec![b'x'; 16 * 1024 * 1024]);
    let cases = [
        ("http", silent, Bytes::new()),
        ("https", silent, Bytes::new()),
        ("http", silent, large),
        ("http", head_drips, Bytes::new()),
        ("http", body_drips, Bytes::new()),
    ];
    let attempts = cases.map(|(scheme, address, body)| async move {
        let began = Instant::now();
        let received = send(Request {
            body,
            ..request(&format!("{scheme}://{address}/"), timeout)
        })
        .await;
        (received, began.elapsed())
    });
    for (received, took) in futures_util::future::join_all(attempts).await {
        assert_eq!(kind(&received), Some(ErrorKind::Timeout), "{received:?}");
        assert!((timeout..timeout + LATE).contains(&took), "{took:?}");
    }
}

async fn drip(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(b"x").await?;
    }
}
