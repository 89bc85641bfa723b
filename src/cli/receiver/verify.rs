//! Verifies Standard Webhooks 1.0.0 as a receiver would: written from the
//! specification and sharing nothing with the code that signs, so that a
//! mistake in either shows.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;

/// How far a timestamp may be from this machine's clock.
const TOLERANCE_SECONDS: u64 = 300;

/// A secret, ready to verify and to sign.
#[derive(Clone)]
pub(in crate::cli) struct Key {
    standard: Hmac<Sha256>,
    body: Hmac<Sha256>,
}

/// Why a request is not a delivery of this secret's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Rejected {
    #[error("a webhook- header is missing or not text")]
    Headers,
    #[error("the timestamp is too far from now")]
    Timestamp,
    #[error("no signature matches")]
    Signature,
}

impl Key {
    /// The key of a secret: the decoded bytes after `whsec_`, or its
    /// characters.
    pub(in crate::cli) fn new(secret: &str) -> anyhow::Result<Self> {
        let bytes = match secret.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded)?,
            None => secret.as_bytes().to_vec(),
        };
        Ok(Self {
            standard: Hmac::new_from_slice(&bytes)?,
            body: Hmac::new_from_slice(secret.as_bytes())?,
        })
    }

    /// The value of `webhook-signature`.
    pub(in crate::cli) fn sign_standard(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mac = self.standard_mac(id, timestamp, body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// The value of `X-Webhook-Signature`.
    pub(in crate::cli) fn sign_body(&self, body: &[u8]) -> String {
        let mut mac = self.body.clone();
        mac.update(body);
        let digest = mac.finalize().into_bytes();
        let hex = |digit: u8| char::from(b"0123456789abcdef"[usize::from(digit)]);
        "sha256="
            .chars()
            .chain(digest.iter().flat_map(|b| [hex(b >> 4), hex(b & 15)]))
            .collect()
    }

    /// Checks the headers of a delivery against its body.
    pub(super) fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now_seconds: u64,
    ) -> Result<(), Rejected> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(id), Some(timestamp), Some(signatures)) = (
            text("webhook-id"),
            text("webhook-timestamp"),
            text("webhook-signature"),
        ) else {
            return Err(Rejected::Headers);
        };
        let fresh = timestamp
            .parse::<u64>()
            .is_ok_and(|sent| sent.abs_diff(now_seconds) <= TOLERANCE_SECONDS);
        if !fresh {
            return Err(Rejected::Timestamp);
        }
        let mac = self.standard_mac(id, timestamp, body);
        let matches = signatures
            .split(' ')
            .filter_map(|token| STANDARD.decode(token.strip_prefix("v1,")?).ok())
            .any(|signature| mac.clone().verify_slice(&signature).is_ok());
        matches.then_some(()).ok_or(Rejected::Signature)
    }

    fn standard_mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.standard.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the specification's own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SENT: u64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", ID.parse().unwrap());
        headers.insert("webhook-timestamp", SENT.into());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    #[test]
    fn the_published_example_verifies() {
        let key = Key::new(SECRET).unwrap();
        assert_eq!(key.verify(&headers(SIGNATURE), BODY, SENT), Ok(()));
        assert_eq!(key.sign_standard(ID, &SENT.to_string(), BODY), SIGNATURE);
    }

    #[test]
    fn any_one_of_several_signatures_is_enough() {
        let key = Key::new(SECRET).unwrap();
        let several = format!("v1,AAAA v1a,xyz {SIGNATURE}");
        assert_eq!(key.verify(&headers(&several), BODY, SENT), Ok(()));
    }

    #[test]
    fn a_changed_body_and_another_secret_do_not_verify() {
        let key = Key::new(SECRET).unwrap();
        let rejected = Err(Rejected::Signature);
        assert_eq!(key.verify(&headers(SIGNATURE), b"{}", SENT), rejected);
        let other = Key::new("another secret of 24 chars").unwrap();
        assert_eq!(other.verify(&headers(SIGNATURE), BODY, SENT), rejected);
    }

    #[test]
    fn an_old_timestamp_and_a_missing_header_do_not_verify() {
        let key = Key::new(SECRET).unwrap();
        let late = SENT + TOLERANCE_SECONDS + 1;
        let verdict = key.verify(&headers(SIGNATURE), BODY, late);
        assert_eq!(verdict, Err(Rejected::Timestamp));
        let verdict = key.verify(&HeaderMap::new(), BODY, SENT);
        assert_eq!(verdict, Err(Rejected::Headers));
    }

    #[test]
    fn the_body_scheme_is_keyed_with_the_secret_as_written() {
        // echo -n body | openssl dgst -sha256 -hmac key
        let key = Key::new("key").unwrap();
        assert_eq!(
            key.sign_body(b"The quick brown fox jumps over the lazy dog"),
            "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
        );
    }
}
