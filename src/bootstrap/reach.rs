//! Which receivers can be reached: the guard, the nameservers and the roots that
//! the configuration names.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    config::Delivery,
    dispatch::HttpTransport,
    domain::Guard,
    resolve::{Resolver, Settings},
};

/// The resolver that the guard stands behind.
pub(super) fn resolver(config: &Delivery) -> Result<Resolver> {
    let guard = Guard::new(config.allow.clone());
    let settings = Settings {
        nameservers: config.nameservers.clone(),
        ..Settings::default()
    };
    Ok(Resolver::new(guard, &settings)?)
}

/// What sends deliveries.
pub(super) fn transport(config: &Delivery, resolver: &Resolver) -> Result<HttpTransport> {
    let roots = config.ca_file.as_deref().map_or(Ok(Vec::new()), roots)?;
    HttpTransport::new(resolver.clone(), roots).context("deliveries cannot be sent")
}

fn roots(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let place = || format!("delivery.ca_file {}", file.display());
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(place)?;
    ensure!(
        !certificates.is_empty(),
        "{} holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----",
        place()
    );
    Ok(certificates)
}
