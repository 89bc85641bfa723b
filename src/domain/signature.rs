//! The signatures of a delivery, by every scheme.
//!
//! STANDARD_WEBHOOKS is Standard Webhooks 1.0.0, "Signature scheme": HMAC-SHA256
//! over `{id}.{timestamp}.{body}`, base64, one `v1,` token for each live secret.
//! ED25519 is its asymmetric scheme: the same text, one `v1a,` token for each
//! live key. SHA256_BODY is the HMAC-SHA256 of the body alone, hexadecimal.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{LiveKeys, LiveSecrets, Secret, SigningKey, Timestamp};

/// A way to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureScheme {
    /// Header `webhook-signature`, by secrets that receivers know too.
    StandardWebhooks,
    /// Header `webhook-signature`, by keys of which receivers know the public
    /// half.
    Ed25519,
    /// Header `X-Webhook-Signature`.
    Sha256Body,
}

/// Signs bodies with the live secrets of one subscription. The keys are derived
/// once, so that a subscription's signer can be kept.
#[derive(Clone)]
pub struct Signer {
    /// Newest first, each with the time at which it stops signing.
    standard: Vec<(Hmac<Sha256>, Timestamp)>,
    keys: Vec<(SigningKey, Timestamp)>,
    body: Hmac<Sha256>,
}

impl Signer {
    /// Derives the keys of the secrets.
    pub fn new(secrets: &LiveSecrets, keys: Option<&LiveKeys>) -> Self {
        let standard = secrets.with_expiries();
        let keys = keys.into_iter().flat_map(LiveKeys::with_expiries);
        Self {
            standard: standard
                .map(|(secret, until)| (keyed(&secret.standard_key()), until))
                .collect(),
            keys: keys.map(|(key, until)| (key.clone(), until)).collect(),
            body: keyed(secrets.newest().expose().as_bytes()),
        }
    }

    /// What `webhook-signature` carries for the scheme: a token for each secret
    /// live at `now`, newest first. `id` is the event's and `now` the time that
    /// `webhook-timestamp` carries.
    pub fn standard_webhooks(&self, id: &str, now: Timestamp, body: &[u8]) -> String {
        let head = head(id, now);
        let live = self.standard.iter().filter(|(_, until)| *until > now);
        tokens(live.map(|(key, _)| {
            let mac = key.clone().chain_update(&head).chain_update(body);
            ("v1", mac.finalize().into_bytes())
        }))
    }

    /// What `webhook-signature` carries for the scheme ED25519: a token for
    /// each key live at `now`, newest first.
    pub fn ed25519(&self, id: &str, now: Timestamp, body: &[u8]) -> String {
        let signed = [head(id, now).as_bytes(), body].concat();
        let live = self.keys.iter().filter(|(_, until)| *until > now);
        tokens(live.map(|(key, _)| ("v1a", key.sign(&signed))))
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
        Self::new(&LiveSecrets::new(secret.clone()), None)
    }
}

/// What is signed before the body.
fn head(id: &str, now: Timestamp) -> String {
    format!("{id}.{}.", now.as_secs())
}

/// Versions and signatures as the header has them.
fn tokens<T: AsRef<[u8]>>(signatures: impl Iterator<Item = (&'static str, T)>) -> String {
    let mut value = String::with_capacity(96);
    for (version, signature) in signatures {
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str(version);
        value.push(',');
        STANDARD.encode_string(signature, &mut value);
    }
    value
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;
    use crate::domain::{Invalid, Live};

    /// Published examples.
    const VECTORS: &str = include_str!("../../tests/data/signature-vectors.json");

    #[test]
    fn the_published_vectors_hold() {
        let vectors: Vec<serde_json::Value> = serde_json::from_str(VECTORS).unwrap();
        let mut checked = 0;
        for vector in &vectors {
            let text = |key: &str| vector[key].as_str().unwrap_or_default();
            let body = text("body").as_bytes();
            let time = Timestamp::from_secs(vector["timestamp"].as_u64().unwrap_or_default());
            let signature = match text("scheme") {
                "STANDARD_WEBHOOKS" => {
                    Signer::new(&live(vector), None).standard_webhooks(text("id"), time, body)
                }
                "SHA256_BODY" => Signer::new(&live(vector), None).sha256_body(body),
                _ => {
                    let keys: LiveKeys = live(vector);
                    assert_eq!(keys.newest().public(), text("public_key"));
                    let secrets = LiveSecrets::new(Secret::generate([0; 32]));
                    Signer::new(&secrets, Some(&keys)).ed25519(text("id"), time, body)
                }
            };
            assert_eq!(signature, text("signature"), "{}", vector["name"]);
            checked += 1;
        }
        assert_eq!(checked, 5);
    }

    fn live<T: FromStr<Err = Invalid> + Clone + PartialEq>(vector: &serde_json::Value) -> Live<T> {
        let secrets = vector["secrets"].as_array().unwrap();
        let mut secrets = secrets.iter().map(|s| s.as_str().unwrap().parse().unwrap());
        let newest = secrets.next().unwrap();
        Live::from_parts(
            newest,
            secrets.map(|secret| (secret, Timestamp::MAX)).collect(),
        )
    }

    #[test]
    fn an_expired_secret_signs_no_more() {
        let secret = |n: u8| Secret::generate([n; 32]);
        let time = Timestamp::from_secs(1_000);
        let secrets = LiveSecrets::from_parts(secret(2), vec![(secret(1), time)]);
        let key = |n: u8| SigningKey::from_private([n; 32]);
        let keys = LiveKeys::from_parts(key(2), vec![(key(1), time)]);
        let signer = Signer::new(&secrets, Some(&keys));
        let keys = |now| signer.ed25519("evt_1", now, b"{}").split(' ').count();
        assert_eq!((keys(Timestamp::from_secs(999)), keys(time)), (2, 1));
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
        assert_eq!(*secret.standard_key(), b"a-plain-secret-of-24-chars");
    }
}
