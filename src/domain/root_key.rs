//! The key that those come from which keep secrets. It is in no `Debug` output
//! and no error.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Invalid;

const LENGTH: usize = 32;

/// A key of 32 bytes, which its owner writes as base64. Every process that
/// serves a store has the same one.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey([u8; LENGTH]);

impl RootKey {
    /// A new key of these random bytes.
    pub fn generate(random: [u8; LENGTH]) -> Self {
        Self(random)
    }

    /// The key as its owner writes it.
    pub fn expose(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The key for a purpose: HMAC-SHA256 over its name, so that none of them
    /// tells another one or this.
    pub(super) fn derive(&self, purpose: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0);
        let mac = mac.expect("HMAC takes keys of any length");
        let derived = mac.chain_update(purpose).finalize().into_bytes();
        Hmac::new_from_slice(&derived).expect("HMAC takes keys of any length")
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

impl FromStr for RootKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bytes = STANDARD.decode(text).ok();
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or_else(|| {
            Invalid::new(
                "must be the padded base64 of 32 random bytes, as `openssl rand -base64 32` \
                 prints it",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_is_in_no_debug_output() {
        let key = RootKey::generate([7; LENGTH]);
        assert_eq!(key.expose().parse(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "RootKey(..)");
        for bad in ["", "c2hvcnQ=", &key.expose()[1..]] {
            assert!(bad.parse::<RootKey>().is_err(), "{bad}");
        }
    }
}
