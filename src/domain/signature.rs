//! The signatures of a delivery, by both schemes.
//!
//! STANDARD_WEBHOOKS is Standard Webhooks 1.0.0, "Signature scheme": HMAC-SHA256
//! over `{id}.{timestamp}.{body}`, base64, one `v1,` token for each live secret.
//! SHA256_BODY is the HMAC-SHA256 of the body alone, hexadecimal.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{LiveSecrets, Secret, Timestamp};

/// A way to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureScheme {
    /// Header `webhook-signature`.
    StandardWebhooks,
    /// Header `X-Webhook-Signature`.
    Sha256Body,
}

/// Signs bodies with the live secrets of one subscription. The keys are derived
/// once, so that a subscription's signer can be kept.
#[derive(Clone)]
pub struct Signer {
    /// Newest first, each with the time at which it stops signing.
    standard: Vec<(Hmac<Sha256>, Timestamp)>,
    body: Hmac<Sha256>,
}

impl Signer {
    /// Derives the keys of the secrets.
    pub fn new(secrets: &LiveSecrets) -> Self {
        let newest = (secrets.newest(), Timestamp::MAX);
        let older = secrets
            .older()
            .iter()
            .map(|(secret, until)| (secret, *until));
        Self {
            standard: std::iter::once(newest)
                .chain(older)
                .map(|(secret, until)| (keyed(&secret.standard_key()), until))
                .collect(),
            body: keyed(secrets.newest().expose().as_bytes()),
        }
    }

    /// The value of `webhook-signature`: a token for each secret live at
    /// `now`, newest first. `id` is the event's and `now` the time that
    /// `webhook-timestamp` carries.
    pub fn standard_webhooks(&self, id: &str, now: Timestamp, body: &[u8]) -> String {
        let mut value = String::with_capacity(48);
        let seconds = now.as_secs();
        for (key, _) in self.standard.iter().filter(|(_, until)| *until > now) {
            let mut mac = key.clone();
            mac.update(format!("{id}.{seconds}.").as_bytes());
            mac.update(body);
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str("v1,");
            STANDARD.encode_string(mac.finalize().into_bytes(), &mut value);
        }
        value
    }

    /// The value of `X-Webhook-Signature`, by the newest secret.
    pub fn sha256_body(&self, body: &[u8]) -> String {
        let mut mac = self.body.clone();
        mac.update(body);
        let mut value = String::with_capacity(71);
        value.push_str("sha256=");
        for byte in mac.finalize().into_bytes() {
            write!(value, "{byte:02x}").expect("writing to a string cannot fail");
        }
        value
    }
}

impl From<&Secret> for Signer {
    fn from(secret: &Secret) -> Self {
        Self::new(&LiveSecrets::new(secret.clone()))
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published examples; those of Ed25519 wait for the scheme.
    const VECTORS: &str = include_str!("../../tests/data/signature-vectors.json");

    #[test]
    fn the_published_vectors_hold() {
        let vectors: Vec<serde_json::Value> = serde_json::from_str(VECTORS).unwrap();
        let mut checked = 0;
        for vector in vectors.iter().filter(|v| v["scheme"] != "ED25519") {
            let text = |key: &str| vector[key].as_str().unwrap_or_default();
            let secrets = vector["secrets"].as_array().unwrap();
            let mut secrets = secrets.iter().map(|s| s.as_str().unwrap().parse().unwrap());
            let newest = secrets.next().unwrap();
            let older = secrets.map(|secret| (secret, Timestamp::MAX)).collect();
            let signer = Signer::new(&LiveSecrets::from_parts(newest, older));
            let body = text("body").as_bytes();
            let signature = match text("scheme") {
                "STANDARD_WEBHOOKS" => {
                    let time = Timestamp::from_secs(vector["timestamp"].as_u64().unwrap());
                    signer.standard_webhooks(text("id"), time, body)
                }
                _ => signer.sha256_body(body),
            };
            assert_eq!(signature, text("signature"), "{}", vector["name"]);
            checked += 1;
        }
        assert_eq!(checked, 4);
    }

    #[test]
    fn an_expired_secret_signs_no_more() {
        let secret = |n: u8| Secret::generate([n; 32]);
        let time = Timestamp::from_secs(1_000);
        let secrets = LiveSecrets::from_parts(secret(2), vec![(secret(1), time)]);
        let signer = Signer::new(&secrets);
        let tokens = |now| signer.standard_webhooks("evt_1", now, b"{}");
        assert_eq!(tokens(Timestamp::from_secs(999)).split(' ').count(), 2);
        assert_eq!(
            tokens(time),
            Signer::from(&secret(2)).standard_webhooks("evt_1", time, b"{}")
        );
    }

    #[test]
    fn a_plain_secret_is_its_own_key() {
        let secret: Secret = "a-plain-secret-of-24-chars".parse().unwrap();
        assert_eq!(secret.standard_key(), b"a-plain-secret-of-24-chars");
    }
}
