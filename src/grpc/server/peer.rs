//! Who is at the other end of a connection.

use std::{net::SocketAddr, sync::Arc};

use rustls::pki_types::CertificateDer;
use x509_cert::{
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use crate::domain::Certificate;

/// Who is at the other end of a connection. Stands in the extensions of every
/// request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The address that the connection comes from.
    pub address: SocketAddr,
    /// The client's certificate, if it has shown one. An authority of
    /// `tls.client_ca_file` has signed it, and the client has its key.
    pub certificate: Option<Arc<Certificate>>,
}

/// Reads a certificate that was verified; none if it cannot be read.
pub(super) fn read(certificate: &CertificateDer<'_>) -> Option<Certificate> {
    let certificate = x509_cert::Certificate::from_der(certificate)
        .ok()?
        .tbs_certificate;
    let names = certificate.get::<SubjectAltName>().ok()?;
    let names = names.map(|(_, names)| names.0).unwrap_or_default();
    let mut read = Certificate {
        subject: certificate.subject.to_string(),
        dns_names: Vec::new(),
        uris: Vec::new(),
    };
    for name in names {
        match name {
            GeneralName::DnsName(name) => read.dns_names.push(name.to_string()),
            GeneralName::UniformResourceIdentifier(uri) => read.uris.push(uri.to_string()),
            _ => {}
        }
    }
    Some(read)
}
