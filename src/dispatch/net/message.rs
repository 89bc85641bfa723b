//! A request as HTTP has it, for the connection that is to carry it.

use bytes::Bytes;
use http::{HeaderValue, Method, Uri, header::HOST};
use http_body_util::Full;
use url::{Position, Url};

use crate::{
    dispatch::{Failure, Request},
    domain::ErrorKind,
};

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A request, and the URL that decides about its connection.
#[derive(Debug)]
pub(in crate::dispatch) struct Message {
    pub(super) url: Url,
    pub(super) http: http::Request<Full<Bytes>>,
    /// For which it names its path and host.
    pub(super) protocol: Protocol,
}

impl Message {
    /// Makes the request, for HTTP/1.1.
    pub(in crate::dispatch) fn new(request: Request) -> Result<Self, Failure> {
        let mut http = http::Request::new(Full::new(request.body));
        *http.method_mut() = Method::POST;
        *http.headers_mut() = request.headers;
        let mut message = Self {
            url: request.url,
            http,
            protocol: Protocol::Http1,
        };
        message.address_http1()?;
        Ok(message)
    }

    /// Where it goes.
    pub(in crate::dispatch) fn url(&self) -> &Url {
        &self.url
    }

    /// Names path and host as the protocol does.
    pub(super) fn address(&mut self, protocol: Protocol) -> Result<(), Failure> {
        if self.protocol == protocol {
            return Ok(());
        }
        self.protocol = protocol;
        match protocol {
            Protocol::Http1 => self.address_http1(),
            Protocol::Http2 => {
                *self.http.uri_mut() = uri(&self.url[..Position::AfterQuery])?;
                self.http.headers_mut().remove(HOST);
                Ok(())
            }
        }
    }

    fn address_http1(&mut self) -> Result<(), Failure> {
        *self.http.uri_mut() = uri(&self.url[Position::BeforePath..Position::AfterQuery])?;
        let host = HeaderValue::from_str(&self.url[Position::BeforeHost..Position::AfterPort]);
        let host = host.map_err(|error| not_built(&error))?;
        self.http.headers_mut().insert(HOST, host);
        Ok(())
    }
}

fn uri(text: &str) -> Result<Uri, Failure> {
    text.parse()
        .map_err(|error: http::uri::InvalidUri| not_built(&error))
}

fn not_built(error: &dyn std::error::Error) -> Failure {
    Failure {
        kind: ErrorKind::Request,
        message: format!("could not build the request: {error}"),
    }
}
