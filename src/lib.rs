//! Postrider, a webhook delivery server: events come in over gRPC, are stored
//! durably, and go out as signed HTTP POSTs. ARCHITECTURE.md draws the layers.

#![forbid(unsafe_code)]

pub mod bootstrap;
pub mod cli;
pub mod config;
pub mod control;
pub mod dispatch;
pub mod domain;
pub mod grpc;
pub mod proto;
pub mod resolve;
pub mod storage;
pub mod telemetry;
