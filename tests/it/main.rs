//! Integration tests, one binary.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]
#![expect(
    unreachable_pub,
    reason = "the support code is as public as a test gets"
)]

mod abuse;
mod access;
mod architecture;
mod chart;
mod cloudevents;
mod commands;
mod crash;
mod delivery;
mod dispatch;
mod durability;
mod filters;
mod flips;
mod full_disk;
mod grpc_publish;
mod grpc_subscriptions;
mod grpcurl;
mod guard;
mod lifecycle;
mod memory;
mod operational;
mod order;
mod overload;
mod powercut;
mod probes;
mod readme;
mod receivers;
mod replays;
mod shared_store;
mod source;
mod storage;
mod storage_commands;
mod support;
mod tls;
