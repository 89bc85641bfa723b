//! A webhook receiver that answers as a test tells it to and keeps what it got.

use std::{
    any::Any,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{Request, Response, body::Frame, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::within;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Path of the URL.
    pub path: String,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// When it was complete.
    pub at: Instant,
}

impl Received {
    /// The only value of a header.
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(key, _)| key == name);
        let value = values.next().unwrap_or_else(|| panic!("no {name}"));
        assert!(values.next().is_none(), "{name} came twice");
        &value.1
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// What the receiver answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status with headers and a body.
    Full(u16, Vec<(&'static str, String)>, String),
    /// A status and a body that sends a byte each interval for ever.
    Drip(u16, Duration),
    /// A status after a while; what is held is dropped with the answer, or when
    /// the sender goes.
    Late(u16, Duration, Arc<dyn Any + Send + Sync>),
    /// Nothing, ever.
    Hang,
}

impl Reply {
    /// A status alone.
    pub fn status(status: u16) -> Self {
        Self::Full(status, Vec::new(), String::new())
    }
}

type Script = dyn Fn(&Received, usize) -> Reply + Send + Sync;

/// A webhook receiver on a port of its own.
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    count: watch::Receiver<usize>,
    open: watch::Receiver<usize>,
    _serving: JoinSet<()>,
}

impl Receiver {
    /// Answers each request, of which the first has number 0, by the script.
    pub async fn start(script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_keeping(true, Box::new(script)).await
    }

    /// Keeps nothing but what the script itself does.
    pub async fn forgetting(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_keeping(false, Box::new(move |request, _| script(request))).await
    }

    async fn start_keeping(keep: bool, script: Box<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (counted, count) = watch::channel(0);
        let (opened, open) = watch::channel(0);
        let state = Arc::new(State {
            script,
            keep,
            received: received.clone(),
            counted,
            opened,
        });
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, state));
        Self {
            address,
            received,
            count,
            open,
            _serving: serving,
        }
    }

    /// Answers 204 to everything.
    pub async fn accepting() -> Self {
        Self::start(|_, _| Reply::status(204)).await
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until there are at least so many requests and returns all.
    pub async fn wait_for(&self, n: usize) -> Vec<Received> {
        let mut count = self.count.clone();
        within(&format!("{n} requests"), count.wait_for(|have| *have >= n))
            .await
            .expect("the receiver lives");
        self.received()
    }

    /// Waits until everything is answered that a sender who is gone had sent,
    /// and no other sender is left.
    pub async fn quiet(&self) {
        self.caught_up().await;
        let mut open = self.open.clone();
        within("the last connection", open.wait_for(|open| *open == 0))
            .await
            .expect("the receiver lives");
    }

    /// Waits until every connection is accepted that a sender who is gone had
    /// made.
    pub async fn caught_up(&self) {
        // Connections are accepted in order, so this one is the last of them.
        let mut last = TcpStream::connect(self.address).await.unwrap();
        let request = b"GET /quiet HTTP/1.0\r\n\r\n";
        last.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        within("the receiver", last.read_to_end(&mut answer))
            .await
            .unwrap();
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

struct State {
    script: Box<Script>,
    keep: bool,
    received: Arc<Mutex<Vec<Received>>>,
    counted: watch::Sender<usize>,
    /// Connections that are open.
    opened: watch::Sender<usize>,
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let state = state.clone();
        state.opened.send_modify(|open| *open += 1);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, &state));
            // A broken connection is the sender's business.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            state.opened.send_modify(|open| *open -= 1);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: &State,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let received = Received {
        path: head.uri.path().to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: body.collect().await?.to_bytes(),
        at: Instant::now(),
    };
    let number = {
        let mut all = state.received.lock().unwrap();
        if state.keep {
            all.push(received.clone());
        }
        state.counted.send_modify(|count| *count += 1);
        *state.counted.borrow() - 1
    };
    let (status, headers, body) = match (state.script)(&received, number) {
        Reply::Full(status, headers, body) => {
            let body = http_body_util::Full::new(Bytes::from(body));
            (status, headers, BoxBody::new(body))
        }
        Reply::Drip(status, interval) => {
            let bytes = stream::repeat(()).then(move |()| async move {
                tokio::time::sleep(interval).await;
                Ok(Frame::data(Bytes::from_static(b".")))
            });
            (status, Vec::new(), BoxBody::new(StreamBody::new(bytes)))
        }
        Reply::Late(status, after, _held) => {
            tokio::time::sleep(after).await;
            (status, Vec::new(), BoxBody::default())
        }
        Reply::Hang => std::future::pending().await,
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(body).unwrap())
}
