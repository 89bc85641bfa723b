//! The signed request that a receiver sees. Pure: the same event, attempt and
//! time give the same bytes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use super::content::Content;
use crate::domain::{
    Event, Headers, SignatureScheme, Signer, Subscription, TRACEPARENT, Timestamp,
};

/// Stands for a value that is not kept.
const HIDDEN: &str = "***";

const USER_AGENT: &str = concat!("Postrider/", env!("CARGO_PKG_VERSION"));

const TRACE: HeaderName = HeaderName::from_static(TRACEPARENT);
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("webhook-attempt");
const X_WEBHOOK_ID: HeaderName = HeaderName::from_static("x-webhook-id");
const X_WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("x-webhook-timestamp");
const X_WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("x-webhook-signature");

/// One POST, ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where it goes.
    pub url: Url,
    /// Its headers, but for those that describe the connection.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// A subscription, with what its requests are made of derived once.
pub struct Endpoint {
    subscription: Arc<Subscription>,
    signer: Signer,
    custom: HeaderMap,
}

impl Endpoint {
    /// Derives keys and headers.
    pub fn new(subscription: Arc<Subscription>) -> Self {
        let custom = subscription.spec.headers.as_map().iter();
        let custom = custom.map(|(name, value)| {
            let name = HeaderName::try_from(name).expect("custom header names were checked");
            let value = HeaderValue::try_from(value);
            let mut value = value.expect("custom headers are printable ASCII");
            value.set_sensitive(true);
            (name, value)
        });
        Self {
            signer: Signer::new(&subscription.secrets, subscription.signing_keys.as_ref()),
            custom: custom.collect(),
            subscription,
        }
    }

    /// The subscription.
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Builds and signs the request of an event's attempt; `attempt` counts
    /// from 1 and `now` is when it begins.
    pub fn request(&self, event: &Event, attempt: u32, now: Timestamp) -> Request {
        let spec = &self.subscription.spec;
        let content = Content::new(event, spec.payload_format);
        Request {
            url: spec.url.as_url().clone(),
            headers: self.headers(event, attempt, now, &content),
            body: content.body,
            timeout: spec.timeout.as_duration(),
        }
    }

    fn headers(&self, event: &Event, attempt: u32, now: Timestamp, content: &Content) -> HeaderMap {
        let body = &content.body;
        let id = event.id.to_string();
        let id_value = text(id.clone());
        let mut headers = HeaderMap::with_capacity(24 + self.custom.len());
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::CONTENT_TYPE, content.media_type.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(WEBHOOK_ATTEMPT, HeaderValue::from(attempt));
        if let Some(parent) = event.traceparent() {
            headers.insert(TRACE, text(parent.to_owned()));
        }
        let schemes = &self.subscription.spec.signature_schemes;
        let signatures = schemes.iter().filter_map(|scheme| match scheme {
            SignatureScheme::StandardWebhooks => {
                Some(self.signer.standard_webhooks(&id, now, body))
            }
            SignatureScheme::Ed25519 => Some(self.signer.ed25519(&id, now, body)),
            SignatureScheme::Sha256Body => None,
        });
        let signatures = signatures.collect::<Vec<_>>().join(" ");
        headers.insert(WEBHOOK_ID, id_value.clone());
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(now.as_secs()));
        if !signatures.is_empty() {
            headers.insert(WEBHOOK_SIGNATURE, text(signatures));
        }
        if schemes.contains(&SignatureScheme::Sha256Body) {
            headers.insert(X_WEBHOOK_ID, id_value);
            headers.insert(X_WEBHOOK_TIMESTAMP, HeaderValue::from(now.as_secs()));
            headers.insert(X_WEBHOOK_SIGNATURE, text(self.signer.sha256_body(body)));
        }
        // What is told of the event stands in place of a custom header.
        for (name, value) in self.custom.iter().chain(&content.attributes) {
            headers.insert(name.clone(), value.clone());
        }
        headers
    }
}

/// Header lines as the log keeps them.
pub(super) fn logged(headers: &HeaderMap) -> Headers {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    };
    headers.iter().map(line).collect()
}

/// Those of a request, without the values that may be credentials.
pub(super) fn logged_request(headers: &HeaderMap) -> Headers {
    let sensitive = headers.iter().map(|(_, value)| value.is_sensitive());
    let lines = logged(headers).into_iter().zip(sensitive);
    let shown = lines.map(|((name, value), sensitive)| {
        let value = if sensitive { HIDDEN.to_owned() } else { value };
        (name, value)
    });
    shown.collect()
}

fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("ids, signatures and traces are printable ASCII")
}

#[cfg(test)]
mod tests;
