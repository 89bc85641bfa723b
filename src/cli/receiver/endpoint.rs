//! The receiver's answers: to deliveries, and to whoever asks what arrived.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /stats` | counts and latencies, JSON |
//! | `GET /arrived/{n}` | bits of the path that ends in `/{n}` |
//! | `GET /arrivals` | unique arrivals, a line at each change, without end |
//! | `POST /reset` | forgets everything |
//! | `POST /status/{code}` | answers deliveries with this status from now on |
//! | `POST /hang...`, `/drip...`, `/endless...`, `/noise...` | see [`Trouble`] |
//! | any other `POST` | a delivery |

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use super::{
    Args,
    tally::Tally,
    trouble::{Frames, Trouble},
    verify::Key,
};
use crate::cli::{clock, stamp::Stamp};

type Body = Either<Full<Bytes>, StreamBody<Frames>>;

/// What the receiver does with a delivery, and what it has seen.
pub(super) struct Endpoint {
    key: Option<Key>,
    fail_first: u32,
    fail_types: Vec<Vec<u8>>,
    delay: Duration,
    status: Cell<StatusCode>,
    tally: RefCell<Tally>,
    arrivals: watch::Sender<u64>,
}

impl Endpoint {
    pub(super) fn new(args: &Args) -> anyhow::Result<Self> {
        let key = match &args.secret {
            Some(secret) if !args.no_verify => Some(Key::new(secret)?),
            _ => None,
        };
        let in_envelope = |name: &String| format!("\"type\":\"{name}\"").into_bytes();
        Ok(Self {
            key,
            fail_first: args.fail_first,
            fail_types: args.fail_type.iter().map(in_envelope).collect(),
            delay: args.delay,
            status: Cell::new(args.status),
            tally: RefCell::default(),
            arrivals: watch::Sender::new(0),
        })
    }

    /// Answers one request.
    pub(super) async fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
    ) -> hyper::Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let path = head.uri.path();
        Ok(match (&head.method, path) {
            (&Method::GET, "/stats") => {
                let stats = serde_json::to_vec(&self.tally.borrow().stats());
                full(StatusCode::OK, stats.expect("numbers become JSON"))
            }
            (&Method::GET, "/arrivals") => Response::new(Either::Right(self.follow())),
            (&Method::GET, _) if path.starts_with("/arrived/") => {
                full(StatusCode::OK, self.tally.borrow().arrived(number_of(path)))
            }
            (&Method::POST, "/reset") => {
                *self.tally.borrow_mut() = Tally::default();
                self.arrivals.send_replace(0);
                full(StatusCode::NO_CONTENT, "")
            }
            (&Method::POST, _) if path.starts_with("/status/") => self.change_status(path),
            (&Method::POST, _) if let Some(trouble) = Trouble::of(path) => {
                self.tally.borrow_mut().received += 1;
                Response::new(Either::Right(StreamBody::new(trouble.body().await)))
            }
            (&Method::POST, _) => {
                let status = self.deliver(&head.headers, number_of(path), &body);
                if !self.delay.is_zero() {
                    tokio::time::sleep(self.delay).await;
                }
                full(status, "")
            }
            _ => full(StatusCode::NOT_FOUND, ""),
        })
    }

    fn deliver(&self, headers: &HeaderMap, path: u32, body: &[u8]) -> StatusCode {
        // Taken first, so that verifying is not part of the latency.
        let now = clock::monotonic_nanos();
        let mut tally = self.tally.borrow_mut();
        tally.received += 1;
        if let Some(key) = &self.key
            && key.verify(headers, body, clock::unix_seconds()).is_err()
        {
            tally.bad_signatures += 1;
            return StatusCode::UNAUTHORIZED;
        }
        let status = if self.fails(&mut tally, headers, path, body) {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            self.status.get()
        };
        if !status.is_success() {
            tally.failed += 1;
            return status;
        }
        if let Some(stamp) = Stamp::find(body) {
            tally.take(path, stamp, now);
            self.arrivals.send_replace(tally.unique());
        }
        status
    }

    fn change_status(&self, path: &str) -> Response<Body> {
        let code = u16::try_from(number_of(path)).unwrap_or_default();
        let Ok(status) = StatusCode::from_u16(code) else {
            return full(StatusCode::BAD_REQUEST, "");
        };
        self.status.set(status);
        full(StatusCode::NO_CONTENT, "")
    }

    fn fails(&self, tally: &mut Tally, headers: &HeaderMap, path: u32, body: &[u8]) -> bool {
        let named = |name: &Vec<u8>| body.windows(name.len()).any(|part| part == name);
        if self.fail_first == 0
            || !(self.fail_types.is_empty() || self.fail_types.iter().any(named))
        {
            return false;
        }
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok());
        tally
            .attempt(path, id.unwrap_or_default())
            .is_some_and(|attempt| attempt <= self.fail_first)
    }

    fn follow(&self) -> StreamBody<Frames> {
        let counts = WatchStream::new(self.arrivals.subscribe());
        let lines = counts.map(|count| Ok(Frame::data(Bytes::from(format!("{count}\n")))));
        StreamBody::new(lines.boxed())
    }
}

/// The number at the end of a path; 0 if there is none.
fn number_of(path: &str) -> u32 {
    let last = path.rsplit('/').next();
    last.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn full(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    *response.status_mut() = status;
    response
}
