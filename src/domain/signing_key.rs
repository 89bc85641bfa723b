//! Keys of the Ed25519 scheme. The private half is in no `Debug` output and no
//! error.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer;

use super::Invalid;

const PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

/// An Ed25519 key pair. Its owner writes it as `whsk_` and the base64 of the 32
/// bytes of the private key, or of these and the 32 of the public key.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Arc<ed25519_dalek::SigningKey>);

impl SigningKey {
    /// Length of the private key.
    pub const BYTES: usize = ed25519_dalek::SECRET_KEY_LENGTH;

    /// The key pair of this private key.
    pub fn from_private(private: [u8; Self::BYTES]) -> Self {
        Self(Arc::new(ed25519_dalek::SigningKey::from_bytes(&private)))
    }

    /// The private key. For the store.
    pub fn expose(&self) -> &[u8; Self::BYTES] {
        self.0.as_bytes()
    }

    /// What receivers verify with: `whpk_` and the base64 of the public key.
    pub fn public(&self) -> String {
        let public = STANDARD.encode(self.0.verifying_key().as_bytes());
        format!("{PUBLIC_PREFIX}{public}")
    }

    /// The signature of RFC 8032 over the message.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl FromStr for SigningKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bytes = text
            .strip_prefix(PREFIX)
            .and_then(|encoded| STANDARD.decode(encoded).ok());
        let bytes = bytes.unwrap_or_default();
        if let Ok(private) = <[u8; Self::BYTES]>::try_from(bytes.as_slice()) {
            return Ok(Self::from_private(private));
        }
        let Ok(pair) = bytes.as_slice().try_into() else {
            return Err(Invalid::new(
                "must be \"whsk_\" and the padded base64 of the 32 bytes of an Ed25519 private key, \
                 or of these and the 32 of its public key",
            ));
        };
        match ed25519_dalek::SigningKey::from_keypair_bytes(pair) {
            Ok(key) => Ok(Self(Arc::new(key))),
            Err(_) => Err(Invalid::new(
                "must end with the public key that belongs to its private key",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> String {
        format!("whsk_{}", STANDARD.encode(bytes))
    }

    #[test]
    fn a_key_is_its_private_half_with_or_without_the_public_one() {
        let key = SigningKey::from_private([7; 32]);
        let pair = key.0.to_keypair_bytes();
        assert_eq!(written(&[7; 32]).parse(), Ok(key.clone()));
        assert_eq!(written(&pair).parse(), Ok(key));
        let mut others = pair;
        others[63] ^= 1;
        let bad = [
            written(&others),
            written(&[7; 31]),
            written(&pair).replace("whsk_", "whsec_"),
        ];
        for bad in bad {
            assert!(bad.parse::<SigningKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_private_key_is_in_no_debug_output() {
        let shown = format!("{:?}", SigningKey::from_private([7; 32]));
        assert_eq!(shown, "SigningKey(..)");
    }
}
