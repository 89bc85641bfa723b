//! The gRPC services: request, control, response. Conversions, the one table of
//! errors to statuses, the gate and the one table of what a caller needs, health
//! and reflection; no decisions.

mod access;
mod api_key_service;
mod call;
mod codec_errors;
mod convert;
mod delivery_service;
mod event_service;
mod health;
mod publish_stream;
mod replay_service;
mod scopes;
mod serve;
mod server;
mod status;
mod subscription_service;
mod trace;

use tokio_util::sync::CancellationToken;

pub use self::{
    call::Limits,
    health::States,
    serve::{Settings, serve, serve_health},
    server::{Peer, Places, Shutdown, Tls, TlsError, TlsFiles},
};

/// When a call that streams has to come to an end, because the server or its
/// connection does.
fn draining<T>(request: &tonic::Request<T>) -> CancellationToken {
    let ends = request.extensions().get::<Shutdown>();
    ends.map(|ends| ends.draining.clone()).unwrap_or_default()
}
