//! One connection that speaks HTTP/1.1 or HTTP/2.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::Either;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};

use super::message::{Message, Protocol};
use crate::dispatch::{
    Failure,
    client::{MAX_HEADER_BYTES, MAX_HEADERS},
    failure,
};

/// Holds the largest head there may be; hyper would read 400 KiB ahead.
const READ_BUFFER: usize = MAX_HEADER_BYTES as usize + 4 * 1024;
/// What a receiver may send ahead of what was read: on one stream as much as an
/// answer may have, on all of a connection four times that.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// Bytes of a request that wait for a receiver to take them.
const SEND_BUFFER: usize = 64 * 1024;
/// Headers that are read over HTTP/2, so that some which are too large are told
/// from those that are wrong.
const HEADER_LIST: u32 = 4 * MAX_HEADER_BYTES;

/// Answers of 1xx that may come before the one that counts.
const MAX_INFORMATIONAL: u32 = 16;
const INFORMATIONAL: &str = "16 answers of 1xx";

/// Why there is a sender.
const OPEN: &str = "it is let go only by a request that failed, and none follows";

/// A connection; the last one of its clones closes it.
pub(in crate::dispatch) struct Connection {
    sender: Option<Sender>,
    link: Arc<Link>,
}

/// What clones share.
struct Link {
    peer: SocketAddr,
    opened: Instant,
    /// Cancelled when the driver has ended.
    ended: CancellationToken,
    _driver: AbortOnDropHandle<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Why there is no answer.
pub(in crate::dispatch) enum Unanswered {
    /// The connection was closed before any of the request was written.
    Unsent(Box<Message>, hyper::Error),
    /// The receiver may have got it.
    Sent(hyper::Error),
    /// It cannot be sent at all, or what comes is no answer.
    Failed(Failure),
}

impl Connection {
    /// Begins to speak over a stream.
    pub(super) async fn open<S>(
        stream: S,
        peer: SocketAddr,
        protocol: Protocol,
    ) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let opened = Instant::now();
        let stream = TokioIo::new(stream);
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        let (sender, driver) = match protocol {
            Protocol::Http1 => {
                let shaken = http1::Builder::new()
                    .max_headers(MAX_HEADERS as usize)
                    .max_buf_size(READ_BUFFER)
                    .handshake(stream)
                    .await;
                let (sender, connection) = shaken.map_err(|error| failure::of(&error))?;
                (Sender::Http1(sender), tokio::spawn(drive(connection, end)))
            }
            Protocol::Http2 => {
                let shaken = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(CONNECTION_WINDOW)
                    .max_send_buf_size(SEND_BUFFER)
                    .max_header_list_size(HEADER_LIST)
                    .handshake(stream)
                    .await;
                let (sender, connection) = shaken.map_err(|error| failure::of(&error))?;
                (Sender::Http2(sender), tokio::spawn(drive(connection, end)))
            }
        };
        Ok(Self {
            sender: Some(sender),
            link: Arc::new(Link {
                peer,
                opened,
                ended,
                _driver: AbortOnDropHandle::new(driver),
            }),
        })
    }

    /// The server at the other end.
    pub(super) fn peer(&self) -> SocketAddr {
        self.link.peer
    }

    /// How long it has been open.
    pub(super) fn age(&self) -> Duration {
        self.link.opened.elapsed()
    }

    /// The same connection for another request, if it carries several at once.
    pub(super) fn share(&self) -> Option<Self> {
        match self.sender() {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Some(Sender::Http2(sender.clone())),
                link: Arc::clone(&self.link),
            }),
        }
    }

    /// How many others share it.
    pub(super) fn shares(&self) -> usize {
        Arc::strong_count(&self.link) - 1
    }

    /// Whether both are the same connection.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.link, &other.link)
    }

    /// Whether it carries no more requests.
    pub(super) fn is_closed(&self) -> bool {
        match self.sender() {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Whether it can carry a request now. That comes a moment after the end of
    /// the answer before.
    pub(super) fn is_ready(&self) -> bool {
        match self.sender() {
            Sender::Http1(sender) => sender.is_ready(),
            Sender::Http2(sender) => sender.is_ready(),
        }
    }

    fn sender(&self) -> &Sender {
        self.sender.as_ref().expect(OPEN)
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        mut message: Message,
    ) -> Result<http::Response<Incoming>, Unanswered> {
        let protocol = match self.sender() {
            Sender::Http1(_) => Protocol::Http1,
            Sender::Http2(_) => Protocol::Http2,
        };
        message.address(protocol).map_err(Unanswered::Failed)?;
        let Message { url, mut http, .. } = message;
        let too_many = Arc::new(Notify::new());
        let (told, count) = (too_many.clone(), AtomicU32::new(0));
        hyper::ext::on_informational(&mut http, move |_| {
            if count.fetch_add(1, Ordering::Relaxed) >= MAX_INFORMATIONAL {
                told.notify_one();
            }
        });
        let answer = match self.sender.as_mut().expect(OPEN) {
            Sender::Http1(sender) => Either::Left(sender.try_send_request(http)),
            Sender::Http2(sender) => Either::Right(sender.try_send_request(http)),
        };
        let mut answer = pin!(answer);
        let answer = tokio::select! {
            biased;
            () = too_many.notified() => {
                return Err(Unanswered::Failed(failure::too_large(INFORMATIONAL)));
            }
            answer = &mut answer => answer,
            // A request that was handed over just then was not taken, and nobody
            // says so while there is a sender (tokio's channel, as hyper uses it).
            () = self.link.ended.cancelled() => {
                self.sender = None;
                answer.await
            }
        };
        answer.map_err(|mut error| match error.take_message() {
            Some(http) => {
                let message = Message {
                    url,
                    http,
                    protocol,
                };
                Unanswered::Unsent(Box::new(message), error.into_error())
            }
            None => Unanswered::Sent(error.into_error()),
        })
    }
}

/// Lets a connection work until it ends, which is at `_end`. Whoever sent a
/// request is told why it ended, and nobody else has to know.
async fn drive(connection: impl Future<Output = hyper::Result<()>>, _end: DropGuard) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended");
    }
}
