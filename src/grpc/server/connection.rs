//! One connection: how it is served and how it ends.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::task::TaskTracker;

use super::{Peer, Shutdown, Tls, peer, socket::Socket};
use crate::grpc::call::Calls;

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Bounds of a connection (docs/adr/0012 and the HTTP/2 attacks of 2023 to 2025).
const MAX_HEADER_LIST: u32 = 16 * 1024;
const MAX_LOCAL_RESETS: usize = 64;
const MAX_PENDING_RESETS: usize = 20;
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const SEND_BUFFER: usize = 64 * 1024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections end at this age, so that clients spread over new replicas.
const AGE: Duration = Duration::from_mins(30);
/// By how much ages differ, so that what began together does not end so.
const SPREAD: f64 = 0.1;
/// What calls have to finish on a connection that is too old.
const GRACE: Duration = Duration::from_secs(30);
/// An end is agreed upon with the client, who may not answer. So long it is
/// waited for when no call is under way.
const AGREEMENT: Duration = Duration::from_secs(1);
/// What there is to write the last answers.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Serves connections, all in the same way.
pub(in crate::grpc) struct Connections {
    calls: Calls,
    max_concurrent_streams: u32,
    tls: Option<Arc<Tls>>,
    shutdown: Shutdown,
    served: AtomicU64,
}

impl Connections {
    pub(in crate::grpc) fn new(
        calls: Calls,
        max_concurrent_streams: u32,
        tls: Option<Arc<Tls>>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            calls,
            max_concurrent_streams,
            tls,
            shutdown,
            served: AtomicU64::new(0),
        }
    }

    /// Resolves when no connection is to be taken in any more.
    pub(super) async fn draining(&self) {
        self.shutdown.draining.cancelled().await;
    }

    /// Serves a connection until it ends, by itself or because the server does.
    pub(super) async fn serve(&self, stream: TcpStream, address: SocketAddr) {
        // Without it answers only come later.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            let peer = Peer {
                address,
                certificate: None,
            };
            return self.serve_http2(stream, peer).await;
        };
        let shaken = tokio::select! {
            shaken = handshake(stream, tls) => shaken,
            () = self.draining() => return,
        };
        match shaken {
            Ok(stream) => {
                let (_, connection) = stream.get_ref();
                let certificate = connection.peer_certificates().and_then(<[_]>::first);
                let certificate = certificate.and_then(peer::read).map(Arc::new);
                let peer = Peer {
                    address,
                    certificate,
                };
                self.serve_http2(stream, peer).await;
            }
            // Like a connection that breaks, no trouble of the server's.
            Err(error) => tracing::debug!(%address, %error, "TLS handshake failed"),
        }
    }

    async fn serve_http2<T>(&self, stream: T, peer: Peer)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let address = peer.address;
        let shutdown = Shutdown {
            draining: self.shutdown.draining.child_token(),
            cut_off: self.shutdown.cut_off.child_token(),
        };
        let open = TaskTracker::new();
        let (calls, ends) = (self.calls.clone(), shutdown.clone());
        let unsent = calls.unsent();
        let also_unsent = unsent.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            calls
                .clone()
                .answer(request, ends.clone(), also_unsent.clone())
        });
        let connection = self
            .http2(open.clone())
            .serve_connection(TokioIo::new(Socket::new(stream)), service);
        let mut connection = pin!(connection);

        let is_too_old = tokio::select! {
            ended = &mut connection => return tell(address, ended),
            () = unsent.stalled() => {
                return tracing::info!(%address, "connection ended: its client takes no answers");
            }
            () = self.shutdown.draining.cancelled() => false,
            () = sleep(self.age()) => true,
        };
        connection.as_mut().graceful_shutdown();
        shutdown.draining.cancel();
        let no_call_is_left = async {
            sleep(AGREEMENT).await;
            open.close();
            open.wait().await;
        };
        tokio::select! {
            ended = &mut connection => return tell(address, ended),
            () = no_call_is_left => {}
            () = self.shutdown.cut_off.cancelled() => {}
            () = sleep(GRACE), if is_too_old => {}
        }
        shutdown.cut_off.cancel();
        // Whoever does not take the last answers goes without.
        let _ = timeout(LAST_WORDS, connection).await;
    }

    fn http2(&self, open: TaskTracker) -> http2::Builder<Streams> {
        let mut http2 = http2::Builder::new(Streams(open));
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_concurrent_streams)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        http2
    }

    /// The age at which the next connection ends.
    fn age(&self) -> Duration {
        /// Multiples of the golden ratio spread evenly, however many there are.
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let number = self.served.fetch_add(1, Ordering::Relaxed);
        let part = u32::try_from(number.wrapping_mul(GOLDEN) >> 32).expect("32 bits are left");
        let part = f64::from(part) / f64::from(u32::MAX);
        AGE.mul_f64(1.0 + SPREAD * (2.0 * part - 1.0))
    }
}

async fn handshake(stream: TcpStream, tls: &Tls) -> io::Result<TlsStream<TcpStream>> {
    let acceptor = TlsAcceptor::from(tls.config());
    let shaken = timeout(HANDSHAKE, acceptor.accept(stream)).await;
    shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Runs the calls of a connection.
#[derive(Clone)]
struct Streams(TaskTracker);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}

/// Clients that break a connection are no trouble of the server's.
fn tell(address: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(%address, error, "connection broke");
    }
}
