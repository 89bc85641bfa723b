//! The record of one POST: what was sent, what came back, how long it took.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;

use super::{
    AttemptId, DeliveryId, ErrorKind, EventType, SubscriptionId, TenantId, Timestamp, Trigger,
};

/// Header lines in order, names in lower case.
pub type Headers = Vec<(String, String)>;

/// Where an attempt's time went; a phase that did not happen, or did not end, is
/// `None`. Over a kept connection there is only the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// Name resolution.
    pub dns: Option<Duration>,
    /// Opening the connection.
    pub connect: Option<Duration>,
    /// TLS handshake.
    pub tls: Option<Duration>,
    /// From the start of the attempt to the head of the answer.
    pub first_byte: Option<Duration>,
}

/// One POST of a delivery. It never changes, but that its content can be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Whose attempt it is.
    pub tenant: TenantId,
    /// The delivery, which names the event.
    pub delivery_id: DeliveryId,
    /// Where it was sent.
    pub subscription_id: SubscriptionId,
    /// The event's type.
    pub event_type: EventType,
    /// What caused the delivery.
    pub trigger: Trigger,
    /// Counts the delivery's attempts from 1.
    pub number: u32,
    /// When it began.
    pub start_time: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// Where the time went.
    pub phases: Phases,
    /// Why it failed; `None` if it succeeded.
    pub error_kind: Option<ErrorKind>,
    /// The failure in words; empty if it succeeded.
    pub error_message: String,
    /// HTTP status of the answer.
    pub response_status: Option<u16>,
    /// Headers of the answer.
    pub response_headers: Headers,
    /// First bytes of the answer's body.
    pub response_body: Bytes,
    /// Whether the answer's body was longer than what is kept.
    pub response_body_truncated: bool,
    /// The server that answered.
    pub peer_address: Option<SocketAddr>,
    /// Headers that were sent.
    pub request_headers: Headers,
    /// When the delivery is tried again; `None` if it is settled.
    pub next_attempt_time: Option<Timestamp>,
}

impl Attempt {
    /// Most bytes of an answer's body that are kept.
    pub const MAX_KEPT_BODY: usize = 16 * 1024;
    /// Most bytes that are kept of an answer that is too large: what an endpoint
    /// sends without end should not fill the store.
    pub const MAX_KEPT_OF_TOO_LARGE: usize = 1024;
    /// Most bytes of an answer's body that are read.
    pub const MAX_READ_BODY: usize = 64 * 1024;

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let headers = self.request_headers.iter().chain(&self.response_headers);
        let headers: usize = headers
            .map(|(name, value)| name.len() + value.len() + 64)
            .sum();
        size_of::<Self>() + headers + self.response_body.len() + self.error_message.len()
    }
}
