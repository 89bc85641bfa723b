//! TLS: the server's certificate, and the authorities of its clients', read from
//! files and read again when they change.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{
        NoClientAuth, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
};
use tokio::time::{MissedTickBehavior, interval};

/// How often the files are looked at. Their content is compared: their names may
/// be links that are moved, as in Kubernetes, and their times may not tell.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where certificates are, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its authority.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities of clients' certificates, if clients are asked for one.
    pub client_authorities: Option<PathBuf>,
    /// Whether a client has to have one.
    pub clients_need_certificates: bool,
}

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// A file does not hold what it should.
    #[error("{path} must hold {what} as PEM")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it; a file that holds nothing is only empty.
        source: Option<pem::Error>,
    },
    /// A certificate is none, or not that of the key.
    #[error("{0} must hold a certificate that belongs to the key")]
    Certificate(PathBuf, #[source] rustls::Error),
    /// An authority is none.
    #[error("{0} must hold certificates of authorities")]
    Authority(PathBuf, #[source] VerifierBuilderError),
}

/// What handshakes are made with. Connections keep what they began with.
pub struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files for the first time.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = Content::read(&files)?.to_config(&files)?;
        Ok(Self {
            files,
            config: ArcSwap::from_pointee(config),
        })
    }

    /// What the next handshake is made with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Reads the files again whenever they change. Those that cannot be used
    /// are told once and change nothing.
    pub async fn follow(self: Arc<Self>) {
        let mut seen = None;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let files = self.files.clone();
            let read = tokio::task::spawn_blocking(move || Content::read(&files)).await;
            let Ok(read) = read else {
                return;
            };
            let found = read.map_err(|error| describe(&error));
            if seen.as_ref() == Some(&found) {
                continue;
            }
            let is_first = seen.is_none();
            let config = match &found {
                Ok(content) => content
                    .to_config(&self.files)
                    .map_err(|error| describe(&error)),
                Err(error) => Err(error.clone()),
            };
            match config {
                Ok(config) => {
                    self.config.store(Arc::new(config));
                    if !is_first {
                        tracing::info!("certificates changed");
                    }
                }
                Err(error) => {
                    tracing::error!(
                        error,
                        "certificates changed and cannot be used, old ones stay"
                    );
                }
            }
            seen = Some(found);
        }
    }
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

impl Content {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read =
            |path: &Path| fs::read(path).map_err(|error| TlsError::Read(path.to_owned(), error));
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            client_authorities: files.client_authorities.as_deref().map(read).transpose()?,
        })
    }

    fn to_config(&self, files: &TlsFiles) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificates = certificates(&self.certificate, &files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::Pem {
            path: files.key.clone(),
            what: "a private key",
            source: Some(error),
        })?;
        let clients = self.clients(files, &provider)?;
        let wrong = |error| TlsError::Certificate(files.certificate.clone(), error);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_client_cert_verifier(clients)
            .with_single_cert(certificates, key)
            .map_err(wrong)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// Who judges the certificates of clients.
    fn clients(
        &self,
        files: &TlsFiles,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let (Some(path), Some(pem)) = (&files.client_authorities, &self.client_authorities) else {
            return Ok(Arc::new(NoClientAuth));
        };
        let mut roots = RootCertStore::empty();
        for authority in certificates(pem, path)? {
            let added = roots.add(authority);
            added.map_err(|error| TlsError::Certificate(path.clone(), error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let verifier = if files.clients_need_certificates {
            verifier
        } else {
            verifier.allow_unauthenticated()
        };
        let built = verifier.build();
        built.map_err(|error| TlsError::Authority(path.clone(), error))
    }
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::Pem {
        path: path.to_owned(),
        what: "certificates",
        source,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| wrong(Some(error)))?;
    if found.is_empty() {
        return Err(wrong(None));
    }
    Ok(found)
}

/// An error and why.
fn describe(error: &TlsError) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests;
