//! What is dialled: nothing that the guard refuses, whatever led there.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use postrider::{
    dispatch::{HttpTransport, Received, Request, Transport},
    domain::{EndpointUrl, ErrorKind, Guard},
    resolve::{self, Resolver},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

use super::corpus;
use crate::support::{Answer, Dns};

/// More than anything here takes that waits for no timeout.
const SOON: Duration = Duration::from_secs(20);

/// A resolver that excepts these networks, asks this nameserver, and believes
/// nothing for longer than it is told.
pub fn resolver(allow: &[&str], dns: &Dns) -> Resolver {
    let exceptions = allow.iter().map(|text| text.parse().unwrap());
    let settings = resolve::Settings {
        nameservers: vec![dns.address],
        min_ttl: Duration::ZERO,
    };
    Resolver::new(Guard::new(exceptions.collect()), &settings).unwrap()
}

pub fn request(url: &str) -> Request {
    Request {
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        timeout: SOON,
    }
}

pub fn kind(received: &Received) -> Option<ErrorKind> {
    received.failure.as_ref().map(|failure| failure.kind)
}

/// A listener that counts connections and answers each request with 200.
pub struct Canary {
    pub address: SocketAddr,
    seen: Arc<AtomicUsize>,
}

impl Canary {
    pub async fn listen(address: (IpAddr, u16)) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(stream));
            }
        });
        Ok(Self { address, seen })
    }

    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

/// One answer for each connection, so that each attempt needs its own.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"{}") {
        request.push(stream.read_u8().await?);
    }
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn loopback(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// What is right is not dialled here: that would leave this machine.
#[tokio::test]
async fn the_corpus_holds_when_attempts_are_made() {
    let resolver = resolver(&[], &corpus::nameserver());
    let transport = HttpTransport::new(resolver.clone(), Vec::new()).unwrap();
    let mut told = BTreeSet::new();
    for row in corpus::rows() {
        let Ok(url) = row.url.parse::<EndpointUrl>() else {
            assert!(!row.is_allowed, "{}", row.url);
            continue;
        };
        if row.is_allowed || row.is_rebinding() {
            let found = resolver.resolve(url.as_url()).await;
            assert!(found.is_ok(), "{}: {found:?}", row.url);
        }
        if !row.is_allowed {
            let received = transport.send(request(url.as_str())).await;
            let kind = kind(&received).expect(row.url);
            let refused = matches!(kind, ErrorKind::Refused | ErrorKind::Dns);
            assert!(refused, "{} ({}): {received:?}", row.url, row.why);
            assert_eq!(received.phases.connect, None, "{}", row.url);
            told.insert(format!("{kind:?}"));
        }
    }
    assert_eq!(told, BTreeSet::from(["Dns".into(), "Refused".into()]));
}

#[tokio::test]
async fn no_spelling_or_answer_reaches_a_listener_inside() {
    let canary = Canary::listen((loopback(1), 0)).await.unwrap();
    let port = canary.address.port();
    let Ok(canary6) = Canary::listen((IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), port)).await else {
        // Somebody has the port, or there is no IPv6 here.
        return;
    };
    let dns = Dns::start(|name| match name {
        "inside.example" => Answer::Addresses(vec![loopback(1)]),
        "inside6.example" => Answer::Addresses(vec!["::1".parse().unwrap()]),
        "mapped.example" => Answer::Addresses(vec!["::ffff:127.0.0.1".parse().unwrap()]),
        "mixed.example" => Answer::Addresses(vec!["93.184.215.14".parse().unwrap(), loopback(1)]),
        "alias.example" => Answer::Alias("localhost".to_owned()),
        "long.example" => Answer::TooLong(vec![loopback(1)]),
        "text.example" => Answer::Text("127.0.0.1"),
        "garbage.example" => Answer::Garbage(vec![0xff; 40]),
        _ => Answer::NoName,
    });
    let guarded = HttpTransport::new(resolver(&[], &dns), Vec::new()).unwrap();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "localhost",
        "localhost.",
        "sub.localhost",
        "inside.example",
        "inside6.example",
        "mapped.example",
        "mixed.example",
        "alias.example",
        "long.example",
        "text.example",
        "garbage.example",
    ] {
        for scheme in ["http", "https"] {
            let received = Request {
                timeout: Duration::from_secs(5),
                ..request(&format!("{scheme}://{host}:{port}/"))
            };
            let received = guarded.send(received).await;
            assert!(received.response.is_none(), "{host}: {received:?}");
            assert_eq!(received.phases.connect, None, "{host}: {received:?}");
        }
    }
    assert_eq!((canary.seen(), canary6.seen()), (0, 0));

    // They are reached once they are excepted.
    let allow = ["127.0.0.0/8", "::1/128"];
    let open = HttpTransport::new(resolver(&allow, &dns), Vec::new()).unwrap();
    for host in [
        "127.0.0.1",
        "[::1]",
        "inside.example",
        "alias.example",
        "long.example",
    ] {
        let received = open.send(request(&format!("http://{host}:{port}/"))).await;
        assert_eq!(kind(&received), None, "{host}: {received:?}");
    }
    assert_eq!(canary.seen() + canary6.seen(), 5);
}

#[tokio::test]
async fn silence_of_a_nameserver_is_told_and_half_of_it_overcome() {
    let canary = Canary::listen((loopback(1), 0)).await.unwrap();
    let port = canary.address.port();
    let dns = Dns::start(|name| match name {
        "half.example" => Answer::Half(vec![loopback(1)]),
        _ => Answer::Silence,
    });
    let transport = HttpTransport::new(resolver(&["127.0.0.0/8"], &dns), Vec::new()).unwrap();
    let send = |host| {
        transport.send(Request {
            timeout: Duration::from_secs(15),
            ..request(&format!("http://{host}:{port}/"))
        })
    };
    let (half, silent) = tokio::join!(send("half.example"), send("silent.example"));
    assert_eq!(kind(&half), None, "{half:?}");
    assert_eq!(kind(&silent), Some(ErrorKind::Dns), "{silent:?}");
}

/// One address of loopback stands for the public side, another for the private.
#[tokio::test]
async fn a_nameserver_that_changes_its_mind_reaches_nothing_private() {
    let private = Canary::listen((loopback(1), 0)).await.unwrap();
    let port = private.address.port();
    let public = Canary::listen((loopback(2), port)).await.unwrap();
    let asked = AtomicUsize::new(0);
    let dns = Dns::start(move |_| {
        let asked = asked.fetch_add(1, Ordering::SeqCst);
        Answer::Addresses(match asked / 2 % 4 {
            0 | 3 => vec![loopback(2)],
            1 => vec![loopback(1)],
            _ => vec![loopback(2), loopback(1)],
        })
    });
    let resolver = resolver(&["127.0.0.2/32"], &dns);
    let transport = HttpTransport::new(resolver, Vec::new()).unwrap();
    let url = format!("http://flips.example:{port}/");
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..200 {
        let received = transport.send(request(&url)).await;
        match kind(&received) {
            None => answered += 1,
            Some(ErrorKind::Refused) => refused += 1,
            Some(_) => panic!("{received:?}"),
        }
    }
    assert_eq!(private.seen(), 0);
    assert_eq!(public.seen(), answered);
    assert!(answered > 20 && refused > 20, "{answered}, {refused}");
}
