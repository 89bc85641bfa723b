//! HTTP/2 connections, from the socket to the calls: how many there may be,
//! how long each step may take, what a client may send, and how they end. Knows
//! nothing of what the calls mean.

mod accept;
mod connection;
mod frames;
mod peer;
mod places;
mod socket;
mod tls;

use tokio_util::sync::CancellationToken;

pub(super) use self::{accept::accept, connection::Connections};
pub use self::{
    peer::Peer,
    places::Places,
    tls::{Tls, TlsError, TlsFiles},
};

/// How the server ends, in two steps.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Nothing new is taken; what is under way may finish.
    pub draining: CancellationToken,
    /// What is still under way is told so, and cut off.
    pub cut_off: CancellationToken,
}
