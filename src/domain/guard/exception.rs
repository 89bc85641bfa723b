//! What the operator excepts: a network, and a port of it if not all.

use std::{fmt, net::SocketAddr, str::FromStr};

use ipnet::IpNet;

use crate::domain::Invalid;

/// Addresses that may be called though they are not public, written
/// `CIDR[:port]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    net: IpNet,
    port: Option<u16>,
}

impl Exception {
    /// Whether a canonical address is among these.
    pub(super) fn covers(&self, address: SocketAddr) -> bool {
        self.net.contains(&address.ip()) && self.port.is_none_or(|port| port == address.port())
    }
}

impl FromStr for Exception {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).ok_or_else(|| {
            Invalid::new(
                "must be a network, and a port if not all are meant, such as 10.1.0.0/16, \
                 10.1.2.3/32:8080 or fd12::/48:8080",
            )
        })
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.net.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The slash comes before the port and after all colons of the address, so
/// nothing is ambiguous.
fn parse(text: &str) -> Option<Exception> {
    let (address, rest) = text.split_once('/')?;
    let (prefix, port) = match rest.split_once(':') {
        Some((prefix, port)) => (prefix, Some(port.parse().ok().filter(|port| *port > 0)?)),
        None => (rest, None),
    };
    let net = IpNet::new(address.parse().ok()?, prefix.parse().ok()?).ok()?;
    // An address inside of the network may stand for the host alone, or be a
    // slip of the prefix.
    (net.addr() == net.network()).then_some(Exception { net, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_a_network_and_maybe_a_port() {
        for text in [
            "127.0.0.0/8",
            "10.1.2.3/32:8080",
            "::1/128",
            "fd12::/48:443",
            "0.0.0.0/0",
        ] {
            assert_eq!(text.parse::<Exception>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "10.0.0.1",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/8:",
            "10.0.0.0/8:0",
            "10.0.0.0/8:65536",
            "localhost/8",
            "[::1]/128",
            "::1/128 ",
        ] {
            assert!(text.parse::<Exception>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_exception_covers_its_network_and_port() {
        let exception: Exception = "10.1.0.0/16:8080".parse().unwrap();
        let covers = |address: &str| exception.covers(address.parse().unwrap());
        assert!(covers("10.1.255.255:8080"));
        assert!(!covers("10.1.0.1:8081"));
        assert!(!covers("10.2.0.0:8080"));
        assert!(!covers("[::1]:8080"));
    }
}
