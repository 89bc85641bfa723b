//! Signing secrets. Their text is in no `Debug` output and no error, and is wiped
//! from memory with the last clone.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::Invalid;

const PREFIX: &str = "whsec_";
const GENERATED_BYTES: usize = 32;

/// A secret as its owner writes it: `whsec_` and the base64 of 24 to 64 bytes,
/// or 24 to 128 bytes of printable ASCII without spaces.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// A new secret of 32 random bytes.
    pub fn generate(random: [u8; GENERATED_BYTES]) -> Self {
        let random = Zeroizing::new(random);
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str(PREFIX);
        STANDARD.encode_string(*random, &mut text);
        Self(Arc::new(text))
    }

    /// The secret's characters. For the store, for the one reply that shows
    /// them, and for the SHA256_BODY scheme, whose key they are.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key of the STANDARD_WEBHOOKS scheme: the decoded bytes of a
    /// `whsec_` secret, the characters of any other.
    pub fn standard_key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self.0.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD
                .decode(encoded)
                .expect("a whsec_ secret was decoded when it was parsed"),
            None => self.0.as_bytes().to_vec(),
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl FromStr for Secret {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let valid = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD
                .decode(encoded)
                .is_ok_and(|key| (24..=64).contains(&Zeroizing::new(key).len())),
            None => (24..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()),
        };
        if valid {
            Ok(Self(Arc::new(Zeroizing::new(text.to_owned()))))
        } else {
            Err(Invalid::new(
                "must be \"whsec_\" and the padded base64 of 24 to 64 bytes, or 24 to 128 bytes \
                 of printable ASCII without spaces",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_outside_the_bounds_are_refused() {
        let encoded = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for good in [encoded(24), encoded(64), "x".repeat(24), "~".repeat(128)] {
            assert!(good.parse::<Secret>().is_ok(), "{good}");
        }
        let spaced = format!("{} {}", "x".repeat(12), "x".repeat(12));
        for bad in [
            encoded(23),
            encoded(65),
            "x".repeat(23),
            "x".repeat(129),
            spaced,
        ] {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
        assert!(
            "whsec_not base64 at all, however long"
                .parse::<Secret>()
                .is_err()
        );
    }

    #[test]
    fn a_secret_is_in_no_debug_output() {
        let shown = format!("{:?}", Secret::generate([1; 32]));
        assert!(!shown.contains("whsec_"), "{shown}");
    }
}
