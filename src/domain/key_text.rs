//! API keys as their holders write them, and what is kept of one: a hash.
//!
//! `pr_`, the 26 characters of the id, `_`, 256 random bits as 52 characters of
//! base32, and 6 more that are a checksum: the first 30 bits of the SHA-256 of
//! everything before them. So a key that was mistyped is known as such without
//! being looked for, and whoever searches texts for keys finds them all by
//! `pr_[0-9a-z]{26}_[0-9a-z]{58}`, and no others by the checksum.

use std::{fmt, str::FromStr, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{ApiKeyId, Invalid, RootKey, RootKeys, base32};

const PREFIX: &str = "pr_";
const SECRET: usize = 2 * base32::LENGTH;
const CHECKSUM: usize = 6;
/// Where the checksum begins.
const SIGNED: usize = PREFIX.len() + base32::LENGTH + 1 + SECRET;

/// An API key as its holder writes it. It is in no `Debug` output and no error,
/// and is wiped from memory with the last clone.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText {
    id: ApiKeyId,
    text: Arc<Zeroizing<String>>,
}

/// What is kept of an API key: HMAC-SHA256 of its text, by a key that is not in
/// the store.
#[derive(Clone, Copy)]
pub struct KeyHash([u8; 32]);

/// Makes hashes of API keys: by the newest root key, and knows those that were
/// made by older ones.
#[derive(Clone)]
pub struct KeyHasher(Arc<[Hmac<Sha256>]>);

impl KeyText {
    /// A new key of 32 random bytes.
    pub fn generate(id: ApiKeyId, random: [u8; 32]) -> Self {
        let (upper, lower) = random.split_at(16);
        let id_text = id.to_string();
        let digits = id_text.trim_start_matches(ApiKeyId::PREFIX);
        // Never grows, which would leave copies.
        let mut text = Zeroizing::new(String::with_capacity(SIGNED + CHECKSUM));
        let mut push = |part: &[u8]| {
            text.push_str(std::str::from_utf8(part).expect("base32 is ASCII"));
        };
        for part in [PREFIX, digits, "_"] {
            push(part.as_bytes());
        }
        for half in [upper, lower] {
            let bits = half.try_into().expect("half of 32 bytes are 16");
            push(&base32::encode(u128::from_be_bytes(bits)));
        }
        let sum = checksum(&text);
        text.push_str(std::str::from_utf8(&sum).expect("base32 is ASCII"));
        Self {
            id,
            text: Arc::new(text),
        }
    }

    /// Which key it is.
    pub fn id(&self) -> ApiKeyId {
        self.id
    }

    /// The whole text. For the one reply, or the file, that shows it.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl FromStr for KeyText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parsed = id_of(text).map(|id| Self {
            id,
            text: Arc::new(Zeroizing::new(text.to_owned())),
        });
        parsed.ok_or_else(|| {
            Invalid::new("must be an API key, \"pr_\" and 85 more characters, without a mistake")
        })
    }
}

/// The id of a text that is a key.
fn id_of(text: &str) -> Option<ApiKeyId> {
    let (signed, sum) = text.as_bytes().split_at_checked(SIGNED)?;
    let (id, secret) = signed
        .strip_prefix(PREFIX.as_bytes())?
        .split_at_checked(base32::LENGTH)?;
    let (upper, lower) = secret.strip_prefix(b"_")?.split_at(base32::LENGTH);
    base32::decode(upper).and(base32::decode(lower))?;
    let signed = std::str::from_utf8(signed).ok()?;
    let id = base32::decode(id).map(|id| ApiKeyId::from_bytes(id.to_be_bytes()));
    id.filter(|_| sum == checksum(signed))
}

fn checksum(signed: &str) -> [u8; CHECKSUM] {
    let digest = Sha256::digest(signed);
    let first = digest.first_chunk().expect("a digest has 32 bytes");
    let sum = u32::from_be_bytes(*first) >> 2;
    let digits = base32::encode(sum.into());
    *digits.last_chunk().expect("there are 26 digits")
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({}, ..)", self.id)
    }
}

impl KeyHasher {
    /// Hashes by keys that come from these.
    pub fn new(roots: &RootKeys) -> Self {
        let mac = |root: &RootKey| {
            let key = root.derive("postrider API keys, 1");
            Hmac::new_from_slice(&*key).expect("HMAC takes keys of any length")
        };
        Self(roots.all().map(mac).collect())
    }

    /// What is kept of a key.
    pub fn hash(&self, key: &KeyText) -> KeyHash {
        let newest = self.hashes(key).next();
        newest.expect("there is a newest root key")
    }

    /// Whether this was kept of the key.
    pub fn made(&self, hash: KeyHash, key: &KeyText) -> bool {
        self.hashes(key).any(|made| made == hash)
    }

    fn hashes(&self, key: &KeyText) -> impl Iterator<Item = KeyHash> {
        let hash = |mac: &Hmac<Sha256>| mac.clone().chain_update(key.text.as_bytes());
        let macs = self.0.iter().map(hash);
        macs.map(|mac| KeyHash(mac.finalize().into_bytes().into()))
    }
}

impl KeyHash {
    /// The bytes. For the store.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// What was stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Takes the same time wherever the two differ.
impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyHash {}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Timestamp;

    fn key(random: [u8; 32]) -> KeyText {
        let id = ApiKeyId::new(Timestamp::from_secs(1_705_320_000), 7);
        KeyText::generate(id, random)
    }

    #[test]
    fn a_key_keeps_its_form() {
        insta::assert_snapshot!(key([7; 32]).expose(), @"pr_01hm6fwag0e008000000000007_070w3ge1r70w3ge1r70w3ge1r7070w3ge1r70w3ge1r70w3ge1r71d59qk");
        let shown = format!("{:?}", key([7; 32]));
        assert!(!shown.contains("pr_"), "{shown}");
    }

    #[test]
    fn a_hash_is_of_the_key_and_of_what_it_is_hashed_by() {
        let root = |n| RootKey::generate([n; 32]);
        let rotated = |newest, older: &[u8]| {
            KeyHasher::new(&RootKeys {
                newest: root(newest),
                older: older.iter().map(|n| root(*n)).collect(),
            })
        };
        let hasher = |n| rotated(n, &[]);
        let hash = hasher(1).hash(&key([7; 32]));
        assert!(rotated(2, &[1]).made(hash, &key([7; 32])));
        assert!(!rotated(2, &[3]).made(hash, &key([7; 32])));
        assert_eq!(hasher(1).hash(&key([7; 32])), hasher(1).hash(&key([7; 32])));
        assert_ne!(hasher(1).hash(&key([7; 32])), hasher(2).hash(&key([7; 32])));
        assert_ne!(hasher(1).hash(&key([7; 32])), hasher(1).hash(&key([8; 32])));
    }

    proptest! {
        #[test]
        fn a_key_reads_back_and_a_mistyped_one_does_not(
            random: [u8; 32],
            place in 0..88_usize,
            typed in "[0-9a-zA-Z_.]",
        ) {
            let key = key(random);
            let text = key.expose();
            prop_assert_eq!(text.parse(), Ok(key.clone()));
            let mistyped = format!("{}{typed}{}", &text[..place], &text[place + 1..]);
            prop_assert_eq!(mistyped.parse::<KeyText>().is_ok(), mistyped == text);
            prop_assert!(text[..place].parse::<KeyText>().is_err());
            let longer = format!("{text}{typed}");
            prop_assert!(longer.parse::<KeyText>().is_err());
        }

        #[test]
        fn any_other_text_is_refused(text in "\\PC{0,100}") {
            prop_assert!(text.parse::<KeyText>().is_err());
        }
    }
}
