use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use tokio::time::sleep;

use super::*;
use crate::grpc::server::peer;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.0.path().join("tls.crt"),
            key: self.0.path().join("tls.key"),
            client_authorities: None,
            clients_need_certificates: true,
        }
    }

    /// Writes a certificate of its own authority.
    fn write(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.files().certificate, certificate.pem()).unwrap();
        fs::write(self.files().key, key.serialize_pem()).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn files_that_cannot_be_used_change_nothing_until_they_can() {
    let folder = Folder::new();
    folder.write();
    let tls = Arc::new(Tls::load(folder.files()).unwrap());
    tokio::spawn(tls.clone().follow());
    sleep(2 * LOOK_EVERY).await;
    let first = tls.config();
    sleep(2 * LOOK_EVERY).await;
    assert!(Arc::ptr_eq(&first, &tls.config()), "nothing changed");
    for broken in [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        fs::write(folder.files().certificate, broken).unwrap();
        sleep(2 * LOOK_EVERY).await;
        assert!(Arc::ptr_eq(&first, &tls.config()), "{broken}");
    }
    fs::remove_file(folder.files().certificate).unwrap();
    sleep(2 * LOOK_EVERY).await;
    assert!(Arc::ptr_eq(&first, &tls.config()), "it is gone");
    folder.write();
    sleep(2 * LOOK_EVERY).await;
    assert!(!Arc::ptr_eq(&first, &tls.config()), "it is there again");
}

#[test]
fn what_is_wrong_with_a_file_names_it() {
    let folder = Folder::new();
    let told = || describe(&Tls::load(folder.files()).err().expect("something is wrong"));
    assert!(told().contains("cannot read"), "{}", told());
    folder.write();
    let key = fs::read(folder.files().key).unwrap();
    fs::write(folder.files().key, "none").unwrap();
    assert!(
        told().contains("tls.key must hold a private key as PEM"),
        "{}",
        told()
    );
    folder.write();
    fs::write(folder.files().key, key).unwrap();
    let of_another = "tls.crt must hold a certificate that belongs to the key";
    assert!(told().contains(of_another), "{}", told());
    fs::write(folder.files().certificate, "").unwrap();
    assert!(
        told().contains("tls.crt must hold certificates as PEM"),
        "{}",
        told()
    );
}

#[test]
fn a_certificate_names_whom_it_is_for() {
    let mut params = CertificateParams::new(vec!["orders.internal".to_owned()]).unwrap();
    let uri = "spiffe://example.org/orders".try_into().unwrap();
    params.subject_alt_names.push(SanType::URI(uri));
    params.distinguished_name.push(DnType::CommonName, "orders");
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let read = peer::read(certificate.der()).unwrap();
    assert_eq!(read.dns_names, ["orders.internal"]);
    assert_eq!(read.uris, ["spiffe://example.org/orders"]);
    assert_eq!(read.subject, "CN=orders");
    assert_eq!(peer::read(&CertificateDer::from(vec![1, 2, 3])), None);
}
