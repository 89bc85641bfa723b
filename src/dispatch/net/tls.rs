//! TLS as a client: the system's roots and the configured ones, HTTP/2 where it
//! is offered.

use std::sync::Arc;

use rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::CertificateDer};
use rustls_platform_verifier::Verifier;

/// HTTP/2 and HTTP/1.1 by their names in the handshake (RFC 7301).
pub(super) const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("TLS could not be set up")]
pub struct BuildError(#[from] rustls::Error);

/// The configuration of every connection.
pub(super) fn config(roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, BuildError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}
