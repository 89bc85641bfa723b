//! Certificates, made for each test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// An authority and the folder that its certificates are written to.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    /// The file of its own certificate.
    pub file: String,
}

/// The files of a certificate and its key.
pub struct Files {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            file: write(folder, &format!("{name}.pem"), &certificate.pem()),
            folder: folder.to_owned(),
        }
    }

    /// A certificate for a server on this machine.
    pub fn server(&self, name: &str) -> Files {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let loopback = SanType::IpAddress([127, 0, 0, 1].into());
        params.subject_alt_names.push(loopback);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(name, params)
    }

    /// A certificate for a client.
    pub fn client(&self, name: &str) -> Files {
        self.client_with(name, Vec::new())
    }

    /// The same, with a URI among its names.
    pub fn named_client(&self, name: &str, uri: &str) -> Files {
        let uri = uri.try_into().expect("it is ASCII");
        self.client_with(name, vec![SanType::URI(uri)])
    }

    fn client_with(&self, name: &str, alternative: Vec<SanType>) -> Files {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = alternative;
        self.sign(name, params)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Files {
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Files {
            certificate: write(&self.folder, &format!("{name}.pem"), &certificate.pem()),
            key: write(&self.folder, &format!("{name}.key"), &key.serialize_pem()),
        }
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
