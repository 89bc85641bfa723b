//! The gRPC services: request, control, response. Conversions, the one table of
//! errors to statuses, health and reflection; no decisions.

mod codec_errors;
mod convert;
mod delivery_service;
mod event_service;
mod health;
mod publish_stream;
mod replay_service;
mod serve;
mod status;
mod subscription_service;

pub use serve::{Settings, serve};

use crate::domain::TenantId;

/// The tenant a call acts for. There is one until callers are known.
fn tenant<T>(_request: &tonic::Request<T>) -> TenantId {
    TenantId::default()
}
