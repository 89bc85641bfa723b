//! Who is at the other end of a connection.

use std::{net::SocketAddr, sync::Arc};

use rustls::pki_types::CertificateDer;
use x509_cert::{
    Certificate,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// Who is at the other end of a connection. Stands in the extensions of every
/// request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The address that the connection comes from.
    pub address: SocketAddr,
    /// Whom the client's certificate names, if it has shown one. An authority of
    /// `tls.client_ca_file` has signed it, and the client has its key.
    pub identity: Option<Arc<Identity>>,
}

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The subject, as RFC 4514 writes it.
    pub subject: String,
    /// Alternative names that are DNS names.
    pub dns_names: Vec<String>,
    /// Alternative names that are URIs, such as those of SPIFFE.
    pub uris: Vec<String>,
}

impl Identity {
    /// Reads a certificate that was verified; none if it cannot be read.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
        let names = certificate.get::<SubjectAltName>().ok()?;
        let names = names.map(|(_, names)| names.0).unwrap_or_default();
        let mut identity = Self {
            subject: certificate.subject.to_string(),
            dns_names: Vec::new(),
            uris: Vec::new(),
        };
        for name in names {
            match name {
                GeneralName::DnsName(name) => identity.dns_names.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(uri) => identity.uris.push(uri.to_string()),
                _ => {}
            }
        }
        Some(identity)
    }
}
