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
