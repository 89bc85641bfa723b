//! Who is asked.

use std::{net::SocketAddr, time::Duration};

use hickory_resolver::{
    config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
    system_conf::read_system_conf,
};
use tracing::warn;

/// Who is asked, and for how long an answer is believed at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The nameservers; the system's if there are none.
    pub nameservers: Vec<SocketAddr>,
    /// How long an answer is kept though it says less.
    pub min_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nameservers: Vec::new(),
            min_ttl: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// The nameservers for the library.
    pub(super) fn config(&self) -> ResolverConfig {
        let servers = self.nameservers.iter().map(|address| {
            let at_port = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let connections = connections.map(at_port).into();
            NameServerConfig::new(address.ip(), true, connections)
        });
        ResolverConfig::from_parts(None, Vec::new(), servers.collect())
    }
}

/// What the system is configured to ask. Without that no name resolves, but
/// addresses can be called.
pub(super) fn of_system() -> (ResolverConfig, ResolverOpts) {
    read_system_conf().unwrap_or_else(|error| {
        warn!(%error, "no nameservers are known to the system; set delivery.nameservers");
        let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
        (nobody, ResolverOpts::default())
    })
}
