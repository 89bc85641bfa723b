//! The transport over real sockets, on reqwest. Every attempt is one request on
//! the wire: no redirects, proxies, referer, decompression or hidden retries.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};

use super::{Failure, Received, Request, Response, Transport, failure};
use crate::domain::{Attempt, ErrorKind};

/// Node, Apache and uvicorn close idle connections after 5 s; a request that
/// crosses such a close is lost, so ours go first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// As many as a subscription may have under way.
const IDLE_PER_HOST: usize = 1_024;
/// Bounds a connection that is opened for an attempt which found another one.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);

const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("HTTP client could not be built")]
pub struct BuildError(#[from] reqwest::Error);

/// Sends requests with one shared pool of connections.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
}

impl HttpTransport {
    /// Builds the client; once for a process.
    pub fn new() -> Result<Self, BuildError> {
        let never = reqwest::retry::never().max_retries_per_request(0);
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(never)
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .build()?;
        Ok(Self { client })
    }

    /// Leaves in `received` and `body` what came, even if it fails or is
    /// dropped half way.
    async fn exchange(
        &self,
        request: Request,
        received: &mut Received,
        body: &mut BytesMut,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        let https = request.url.scheme() == "https";
        let mut post = reqwest::Request::new(Method::POST, request.url);
        *post.headers_mut() = request.headers;
        *post.body_mut() = Some(request.body.into());

        let answer = self.client.execute(post).await;
        let mut answer = answer.map_err(|error| failure::of(&error, https))?;
        received.first_byte = Some(began.elapsed());
        let response = received.response.insert(Response {
            status: answer.status().as_u16(),
            peer: answer.remote_addr(),
            ..Response::default()
        });
        if is_too_large(answer.headers()) {
            return Err(failure::too_large(failure::HEADERS));
        }
        response.headers = std::mem::take(answer.headers_mut());

        let mut length = 0;
        while let Some(chunk) = read(&mut answer, https).await? {
            length += chunk.len();
            let room = Attempt::MAX_KEPT_BODY - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            response.truncated = length > body.len();
            if length > Attempt::MAX_READ_BODY {
                // Dropping the answer closes its connection.
                return Err(failure::too_large(failure::BODY));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Received {
        let timeout = request.timeout;
        let mut received = Received::default();
        let mut body = BytesMut::new();
        let exchange = self.exchange(request, &mut received, &mut body);
        let done = tokio::time::timeout(timeout, exchange).await;
        if let Some(response) = &mut received.response {
            response.body = body.freeze();
        }
        received.failure = match done {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure),
            Err(_) => Some(Failure {
                kind: ErrorKind::Timeout,
                message: format!("no complete answer within {timeout:?}"),
            }),
        };
        received
    }
}

async fn read(answer: &mut reqwest::Response, https: bool) -> Result<Option<Bytes>, Failure> {
    let chunk = answer.chunk().await;
    chunk.map_err(|error| failure::of(&error, https))
}

fn is_too_large(headers: &HeaderMap) -> bool {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    let bytes: usize = headers.iter().map(line).sum();
    headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES as usize
}

#[cfg(test)]
mod tests;
