//! Who may be called: the public internet, and what the operator excepts. Pure:
//! names are resolved elsewhere, and what they resolve to is judged here.

mod address;
mod exception;
mod host;
mod port;

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

pub use self::exception::Exception;
use self::{address::Standing, host::is_internal};

/// Judges URLs and addresses.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    exceptions: Vec<Exception>,
}

/// Where a URL leads, as far as it tells by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address, which was judged.
    Address(SocketAddr),
    /// A name, whose addresses are still to be judged.
    Name(Name),
}

/// The name and port of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name in lower case, without the dot of the root.
    pub host: String,
    /// The port, of the scheme if the URL has none.
    pub port: u16,
    /// Whether it means something only in the operator's own network. Then it
    /// may lead nowhere but to what is excepted.
    pub is_internal: bool,
}

/// Why something may not be called. The text is a clause of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The URL has no host, or its scheme is not HTTP's.
    #[error("the URL is not an http or https URL with a host")]
    Url,
    /// The port belongs to another protocol.
    #[error("port {0} belongs to another protocol than HTTP")]
    Port(u16),
    /// The name has no meaning outside of the operator's network, and nothing
    /// inside is excepted.
    #[error("{0} is not a public name; the operator can allow internal addresses (delivery.allow)")]
    InternalName(String),
    /// A public address behind a name that is not.
    #[error("{host} is not a public name, and {address} is not in delivery.allow")]
    InternalLeadsOut {
        /// The name.
        host: String,
        /// What it leads to.
        address: IpAddr,
    },
    /// The address is not public.
    #[error("{address} is {what}; the operator can allow it (delivery.allow)")]
    Address {
        /// The address, canonical.
        address: IpAddr,
        /// What it is instead.
        what: &'static str,
    },
    /// The address is never called, whatever is excepted.
    #[error("{address} is {what}, which is never called")]
    Never {
        /// The address, canonical.
        address: IpAddr,
        /// What it is.
        what: &'static str,
    },
}

impl Guard {
    /// A guard that lets through public addresses and these.
    pub fn new(exceptions: Vec<Exception>) -> Self {
        Self { exceptions }
    }

    /// Judges a URL as far as it tells by itself: port, name, literal address.
    /// What is excepted may be called at every port that its exception has.
    pub fn judge_url(&self, url: &Url) -> Result<Target, Refused> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Refused::Url);
        };
        let name = match host {
            Host::Ipv4(address) => return self.judge_literal(address.into(), port),
            Host::Ipv6(address) => return self.judge_literal(address.into(), port),
            Host::Domain(name) => name,
        };
        let host = name.strip_suffix('.').unwrap_or(name).to_owned();
        let is_internal = is_internal(&host);
        if is_internal && self.exceptions.is_empty() {
            return Err(Refused::InternalName(host));
        }
        if !is_internal && port::is_foreign(port) {
            return Err(Refused::Port(port));
        }
        Ok(Target::Name(Name {
            host,
            port,
            is_internal,
        }))
    }

    /// Judges everything that a name resolves to: one address that may not be
    /// called is enough to refuse them all. The addresses are returned in their
    /// canonical form, in order.
    pub fn judge_answer(
        &self,
        name: &Name,
        answer: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Vec<SocketAddr>, Refused> {
        let judge = |address| {
            let judged = self.judge(SocketAddr::new(address, name.port))?;
            if name.is_internal && !self.excepts(judged) {
                return Err(Refused::InternalLeadsOut {
                    host: name.host.clone(),
                    address: judged.ip(),
                });
            }
            Ok(judged)
        };
        answer.into_iter().map(judge).collect()
    }

    /// Judges an address and returns it in its canonical form.
    pub fn judge(&self, address: SocketAddr) -> Result<SocketAddr, Refused> {
        let ip = address.ip().to_canonical();
        let address = SocketAddr::new(ip, address.port());
        match address::standing(ip) {
            Standing::Public if port::is_foreign(address.port()) => {
                Err(Refused::Port(address.port()))
            }
            Standing::Public => Ok(address),
            Standing::Special(_) if self.excepts(address) => Ok(address),
            Standing::Special(what) => Err(Refused::Address { address: ip, what }),
            Standing::Never(what) => Err(Refused::Never { address: ip, what }),
        }
    }

    fn judge_literal(&self, address: IpAddr, port: u16) -> Result<Target, Refused> {
        let judged = self.judge(SocketAddr::new(address, port))?;
        Ok(Target::Address(judged))
    }

    /// Whether the operator excepted the address, which is canonical.
    fn excepts(&self, address: SocketAddr) -> bool {
        self.exceptions
            .iter()
            .any(|exception| exception.covers(address))
    }
}

#[cfg(test)]
mod tests;
