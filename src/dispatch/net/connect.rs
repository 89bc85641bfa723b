//! Opens a connection: resolves, judges, dials only what was judged, and shakes
//! hands, each phase with its time.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::{Host, Url};

use super::{
    connection::Connection,
    dial::dial,
    message::Protocol,
    tls::{self, BuildError, H2},
};
use crate::{
    dispatch::{Failure, failure},
    domain::{ErrorKind, Guard, Phases},
    resolve::{self, Resolver},
};

/// Opens connections.
pub(in crate::dispatch) struct Connector {
    resolver: Resolver,
    /// Judges what is connected once more, whatever led there.
    tripwire: Guard,
    tls: TlsConnector,
    files_below: u64,
}

impl Connector {
    /// A connector to what the resolver lets through.
    pub(in crate::dispatch) fn new(
        resolver: Resolver,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            tripwire: resolver.guard().clone(),
            resolver,
            tls: TlsConnector::from(Arc::new(tls::config(roots)?)),
            files_below: u64::MAX,
        })
    }

    /// The same, opening connections as files below this number only.
    pub(in crate::dispatch) fn with_files_below(self, end: u64) -> Self {
        Self {
            files_below: end,
            ..self
        }
    }

    /// Opens a connection for requests to this URL. Phases are noted as they
    /// end, so those before a failure are known.
    pub(in crate::dispatch) async fn connect(
        &self,
        url: &Url,
        phases: &mut Phases,
    ) -> Result<Connection, Failure> {
        *phases = Phases::default();
        let began = Instant::now();
        let addresses = self.resolver.resolve(url).await.map_err(not_resolved)?;
        if matches!(url.host(), Some(Host::Domain(_))) {
            phases.dns = Some(began.elapsed());
        }
        let began = Instant::now();
        let not_connected = |error| failure::io(ErrorKind::Connect, &error);
        let stream = dial(&addresses, self.files_below)
            .await
            .map_err(not_connected)?;
        let peer = stream.peer_addr().map_err(not_connected)?;
        phases.connect = Some(began.elapsed());
        self.check_peer(peer)?;
        if url.scheme() != "https" {
            return Connection::open(stream, peer, Protocol::Http1).await;
        }
        let began = Instant::now();
        let stream = self.shake_hands(url, stream).await?;
        phases.tls = Some(began.elapsed());
        let offered = stream.get_ref().1.alpn_protocol();
        let protocol = if offered == Some(H2) {
            Protocol::Http2
        } else {
            Protocol::Http1
        };
        Connection::open(stream, peer, protocol).await
    }

    /// Refuses a peer that may not be called. Nothing that was judged leads to
    /// one, so this is a tripwire.
    pub(in crate::dispatch) fn check_peer(&self, peer: SocketAddr) -> Result<(), Failure> {
        match self.tripwire.judge(peer) {
            Ok(_) => Ok(()),
            Err(refused) => {
                tracing::error!(%peer, %refused, "a connection led to where none may");
                Err(failure::refused(&refused))
            }
        }
    }

    async fn shake_hands(
        &self,
        url: &Url,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = server_name(url).ok_or_else(|| Failure {
            kind: ErrorKind::Tls,
            message: "TLS failed: the host is no name that a certificate can have".to_owned(),
        })?;
        let shaken = self.tls.connect(name, stream).await;
        shaken.map_err(|error| failure::io(ErrorKind::Tls, &error))
    }
}

fn server_name(url: &Url) -> Option<ServerName<'static>> {
    match url.host()? {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            ServerName::try_from(name.to_owned()).ok()
        }
        Host::Ipv4(address) => Some(ServerName::from(std::net::IpAddr::from(address))),
        Host::Ipv6(address) => Some(ServerName::from(std::net::IpAddr::from(address))),
    }
}

fn not_resolved(error: resolve::Error) -> Failure {
    match error {
        resolve::Error::Refused(refused) => failure::refused(&refused),
        error @ (resolve::Error::NoAddress(_)
        | resolve::Error::NoName(_)
        | resolve::Error::Failed { .. }) => failure::dns(&error),
    }
}

#[cfg(test)]
mod tests;
