//! The gRPC services: request, control, response. Conversions, the one table of
//! errors to statuses, the gate and the one table of what a caller needs, health
//! and reflection; no decisions.

mod access;
mod api_key_service;
mod codec_errors;
mod convert;
mod delivery_service;
mod event_service;
mod health;
mod publish_stream;
mod replay_service;
mod scopes;
mod serve;
mod status;
mod subscription_service;

pub use serve::{Settings, serve};
