//! The key that those come from which keep secrets. It is in no `Debug` output
//! and no error.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Invalid;

const LENGTH: usize = 32;

/// A key of 32 bytes, which its owner writes as base64. Every process that
/// serves a store has the same one.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey(Zeroizing<[u8; LENGTH]>);

impl RootKey {
    /// A new key of these random bytes.
    pub fn generate(random: [u8; LENGTH]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// The key as its owner writes it.
    pub fn expose(&self) -> String {
        STANDARD.encode(*self.0)
    }

    /// The key for a purpose: HMAC-SHA256 over its name, so that none of them
    /// tells another one or this.
    pub(super) fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mac = Hmac::<Sha256>::new_from_slice(&*self.0);
        let mac = mac.expect("HMAC takes keys of any length");
        Zeroizing::new(mac.chain_update(purpose).finalize().into_bytes().into())
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
        key.map(Self::generate).ok_or_else(|| {
            Invalid::new(
                "must be the padded base64 of 32 random bytes, as `openssl rand -base64 32` \
                 prints it",
            )
        })
    }
}

/// Root keys, the newest first: it seals and hashes, and the older ones are good
/// for what they sealed and hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootKeys {
    /// The newest.
    pub newest: RootKey,
    /// The older ones.
    pub older: Vec<RootKey>,
}

impl RootKeys {
    /// All of them, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

/// Separated by commas or white space.
impl FromStr for RootKeys {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        let keys = words.filter(|word| !word.is_empty()).map(str::parse);
        let mut keys = keys.collect::<Result<Vec<RootKey>, _>>()?.into_iter();
        let Some(newest) = keys.next() else {
            return "".parse().map(|newest| Self {
                newest,
                older: Vec::new(),
            });
        };
        Ok(Self {
            newest,
            older: keys.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_keys_follow_the_newest() {
        let key = |n| RootKey::generate([n; LENGTH]);
        let text = format!("{},\n {}\n", key(1).expose(), key(2).expose());
        let keys: RootKeys = text.parse().unwrap();
        assert_eq!((keys.newest, keys.older), (key(1), vec![key(2)]));
        for bad in ["", " , ", "c2hvcnQ=", &format!("{} x", key(1).expose())] {
            assert!(bad.parse::<RootKeys>().is_err(), "{bad}");
        }
    }

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
