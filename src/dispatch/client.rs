//! The transport over real sockets. Every attempt is one request on the wire:
//! nothing is followed, sent by way of a proxy, decompressed or sent twice.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use http::{HeaderMap, StatusCode, Version, header};
use http_body_util::BodyExt;
use rustls::pki_types::CertificateDer;

use super::{
    Failure, Received, Request, Response, Transport,
    failure::{self, BODY, HEADERS},
    net::{Connector, Lent, Message, Pool, Unanswered},
};
use crate::{
    domain::{Attempt, ErrorKind},
    resolve::Resolver,
};

pub use super::net::BuildError;

/// Most lines and bytes of an answer's headers.
pub(super) const MAX_HEADERS: u32 = 100;
pub(super) const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// Sends requests over one pool of connections.
pub struct HttpTransport {
    connector: Connector,
    pool: Arc<Pool>,
}

impl HttpTransport {
    /// A transport that dials what the resolver lets through, and trusts these
    /// roots beside those of the system. Needs a runtime.
    pub fn new(
        resolver: Resolver,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            connector: Connector::new(resolver, roots)?,
            pool: Pool::start(),
        })
    }

    /// The same, opening connections as files below this number only: the rest
    /// is for others.
    #[must_use]
    pub fn with_files_below(mut self, end: u64) -> Self {
        self.connector = self.connector.with_files_below(end);
        self
    }

    /// Leaves in `received` and `body` what came, even if it fails or is
    /// dropped half way.
    async fn exchange(
        &self,
        request: Request,
        received: &mut Received,
        body: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        let (answer, lent) = self.send_once(request, received).await?;
        received.phases.first_byte = Some(began.elapsed());
        let (head, mut content) = answer.into_parts();
        let response = received.response.insert(Response {
            status: head.status.as_u16(),
            peer: Some(lent.peer()),
            ..Response::default()
        });
        if is_too_large(&head.headers) {
            return Err(failure::too_large(HEADERS));
        }
        response.headers = head.headers;

        let has_body = !matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        let said = response.headers.get(header::CONTENT_LENGTH);
        let said = said.filter(|_| has_body && head.version == Version::HTTP_2);
        let said = said.and_then(|length| length.to_str().ok()?.parse().ok());
        let mut length = 0;
        while let Some(frame) = content.frame().await {
            let frame = frame.map_err(|error| failure::of(&error))?;
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            length += chunk.len();
            let room = Attempt::MAX_KEPT_BODY - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            response.truncated = length > body.len();
            if length > Attempt::MAX_READ_BODY {
                body.truncate(Attempt::MAX_KEPT_OF_TOO_LARGE);
                // Letting go of what was lent closes the connection.
                return Err(failure::too_large(BODY));
            }
        }
        // HTTP/2 lets an answer end in good order before it is complete.
        if said.is_some_and(|said: usize| length < said) {
            return Err(failure::incomplete());
        }
        lent.give_back();
        Ok(())
    }

    /// Sends the request over a connection that was kept, or else over a new
    /// one. A kept one that closed before any of the request was written hands
    /// it back; a request of which something was written is never sent again.
    async fn send_once(
        &self,
        request: Request,
        received: &mut Received,
    ) -> Result<(http::Response<hyper::body::Incoming>, Lent), Failure> {
        let mut message = Message::new(request)?;
        loop {
            let kept = self.pool.take(message.url());
            let is_new = kept.is_none();
            let mut lent = if let Some(lent) = kept {
                lent
            } else {
                let phases = &mut received.phases;
                let connection = self.connector.connect(message.url(), phases).await?;
                self.pool.lend(message.url(), connection)
            };
            self.connector.check_peer(lent.peer())?;
            match lent.send(message).await {
                Ok(answer) => return Ok((answer, lent)),
                Err(Unanswered::Unsent(unsent, _)) if !is_new => message = *unsent,
                Err(Unanswered::Unsent(_, error) | Unanswered::Sent(error)) => {
                    return Err(failure::of(&error));
                }
                Err(Unanswered::Failed(failure)) => return Err(failure),
            }
        }
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Received {
        let timeout = request.timeout;
        let mut received = Received::default();
        let mut body = Vec::new();
        let exchange = self.exchange(request, &mut received, &mut body);
        let done = tokio::time::timeout(timeout, exchange).await;
        if let Some(response) = &mut received.response {
            // It is kept for a while, so without room to grow.
            response.body = body.into_boxed_slice().into();
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

fn is_too_large(headers: &HeaderMap) -> bool {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    let bytes: usize = headers.iter().map(line).sum();
    headers.len() > MAX_HEADERS as usize || bytes > MAX_HEADER_BYTES as usize
}

#[cfg(test)]
mod tests;
