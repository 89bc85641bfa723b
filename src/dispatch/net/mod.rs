//! Connections to receivers: dialled only to addresses that were judged, kept
//! for a while, each carrying requests as they are.

mod connect;
mod connection;
mod dial;
mod message;
mod pool;
mod tls;

pub use self::tls::BuildError;
pub(super) use self::{
    connect::Connector,
    connection::Unanswered,
    message::Message,
    pool::{Lent, Pool},
};
