//! The gRPC services: request, control, response. Conversions, the one table of
//! errors to statuses, health and reflection; no decisions.

mod call;
mod codec_errors;
mod convert;
mod delivery_service;
mod event_service;
mod health;
mod publish_stream;
mod replay_service;
mod serve;
mod server;
mod status;
mod subscription_service;

use tokio_util::sync::CancellationToken;

pub use self::{
    call::Limits,
    health::States,
    serve::{Settings, serve, serve_health},
    server::{Identity, Peer, Places, Shutdown, Tls, TlsError, TlsFiles},
};
use crate::domain::TenantId;

/// The tenant a call acts for. There is one until callers are known.
fn tenant<T>(_request: &tonic::Request<T>) -> TenantId {
    TenantId::default()
}

/// When a call that streams has to come to an end, because the server or its
/// connection does.
fn draining<T>(request: &tonic::Request<T>) -> CancellationToken {
    let ends = request.extensions().get::<Shutdown>();
    ends.map(|ends| ends.draining.clone()).unwrap_or_default()
}
