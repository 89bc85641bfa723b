//! HTTP/2 connections, from the socket to the calls: how many there may be,
//! how long each step may take, what a client may send, and how they end. Knows
//! nothing of what the calls mean.

mod accept;
mod connection;
mod frames;
mod places;
mod socket;

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

pub use self::places::Places;
pub(super) use self::{accept::accept, connection::Connections};

/// Who is at the other end of a connection. Stands in the extensions of every
/// request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The address that the connection comes from.
    pub address: SocketAddr,
}

/// How the server ends, in two steps.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Nothing new is taken; what is under way may finish.
    pub draining: CancellationToken,
    /// What is still under way is told so, and cut off.
    pub cut_off: CancellationToken,
}
