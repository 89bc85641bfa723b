//! Sealing of what is kept secret at rest: XChaCha20-Poly1305
//! (draft-irtf-cfrg-xchacha-03), by keys that come from root keys. In no
//! `Debug` output and no error.

use std::{fmt, sync::Arc};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::RootKey;

const NONCE: usize = 24;

/// Which key sealed something. Tells nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SealId([u8; SealId::BYTES]);

impl SealId {
    /// Length of an id.
    pub const BYTES: usize = 8;

    /// The bytes. For the store.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }

    /// What was stored.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for SealId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SealId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The keys that seal and open: the first seals, all of them open.
#[derive(Clone)]
pub struct Keyring(Arc<[SealingKey]>);

struct SealingKey {
    id: SealId,
    cipher: XChaCha20Poly1305,
    nonces: Hmac<Sha256>,
}

/// Why something cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpened {
    /// The key that sealed it is not on the ring.
    UnknownKey(SealId),
    /// It is not what was sealed, or was sealed for something else.
    Changed,
}

impl Keyring {
    /// The ring of these keys, the one that seals first.
    pub fn new(newest: &RootKey, older: &[RootKey]) -> Self {
        let keys = std::iter::once(newest).chain(older);
        Self(keys.map(SealingKey::new).collect())
    }

    /// The key that seals.
    pub fn sealing(&self) -> SealId {
        self.newest().id
    }

    /// All keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = SealId> {
        self.0.iter().map(|key| key.id)
    }

    /// Whether it opens what this key sealed.
    pub fn knows(&self, key: SealId) -> bool {
        self.ids().any(|id| id == key)
    }

    /// Seals something for one place: it opens only where `place` is the same.
    ///
    /// The nonce is a keyed hash of both, so that the same makes the same, and
    /// different ones do not meet: of 192 bits, none comes twice.
    pub fn seal(&self, secret: &[u8], place: &[u8]) -> Vec<u8> {
        let key = self.newest();
        let nonce = key.nonce(secret, place);
        let payload = Payload {
            msg: secret,
            aad: place,
        };
        let sealed = key.cipher.encrypt(&nonce, payload);
        let sealed = sealed.expect("what is kept of a subscription is far below 256 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what the key sealed for this place.
    pub fn open(
        &self,
        key: SealId,
        sealed: &[u8],
        place: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let mut keys = self.0.iter();
        let known = keys.find(|one| one.id == key);
        let known = known.ok_or(NotOpened::UnknownKey(key))?;
        let (nonce, sealed) = sealed
            .split_first_chunk::<NONCE>()
            .ok_or(NotOpened::Changed)?;
        let payload = Payload {
            msg: sealed,
            aad: place,
        };
        let opened = known.cipher.decrypt(&XNonce::from(*nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| NotOpened::Changed)
    }

    fn newest(&self) -> &SealingKey {
        self.0.first().expect("a ring has at least one key")
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({})", self.sealing())
    }
}

impl SealingKey {
    fn new(root: &RootKey) -> Self {
        let id = root.derive("postrider sealing key id, 1");
        let cipher = root.derive("postrider sealing key, 1");
        let nonces = root.derive("postrider sealing nonces, 1");
        Self {
            id: SealId(*id.first_chunk().expect("a key has 32 bytes")),
            cipher: XChaCha20Poly1305::new((&*cipher).into()),
            nonces: Hmac::new_from_slice(&*nonces).expect("HMAC takes keys of any length"),
        }
    }

    fn nonce(&self, secret: &[u8], place: &[u8]) -> XNonce {
        let mac = self.nonces.clone();
        let mac = mac.chain_update((place.len() as u64).to_be_bytes());
        let digest = mac.chain_update(place).chain_update(secret).finalize();
        let digest: [u8; 32] = digest.into_bytes().into();
        let nonce: &[u8; NONCE] = digest.first_chunk().expect("a digest has 32 bytes");
        XNonce::from(*nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(n: u8) -> RootKey {
        RootKey::generate([n; 32])
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_by_its_key() {
        let ring = Keyring::new(&root(1), &[]);
        let sealed = ring.seal(b"secret", b"here");
        assert!(!sealed.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(sealed, ring.seal(b"secret", b"here"));
        assert_ne!(sealed[..NONCE], ring.seal(b"secret", b"there")[..NONCE]);
        let key = ring.sealing();
        assert_eq!(*ring.open(key, &sealed, b"here").unwrap(), b"secret");
        assert_eq!(ring.open(key, &sealed, b"there"), Err(NotOpened::Changed));
        assert_eq!(
            ring.open(key, &sealed[..20], b"here"),
            Err(NotOpened::Changed)
        );

        let rotated = Keyring::new(&root(2), &[root(1)]);
        assert_ne!(rotated.sealing(), key);
        assert_eq!(*rotated.open(key, &sealed, b"here").unwrap(), b"secret");
        let other = Keyring::new(&root(2), &[]);
        let refused = other.open(key, &sealed, b"here");
        assert_eq!(refused, Err(NotOpened::UnknownKey(key)));
    }

    #[test]
    fn any_changed_bit_keeps_it_shut() {
        let ring = Keyring::new(&root(1), &[]);
        let sealed = ring.seal(b"secret", b"here");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let opened = ring.open(ring.sealing(), &changed, b"here");
            assert_eq!(opened, Err(NotOpened::Changed), "bit {bit}");
        }
    }

    #[test]
    fn a_sealed_secret_keeps_its_bytes() {
        let ring = Keyring::new(&root(1), &[]);
        let sealed = ring.seal(b"secret", b"here");
        let hex = sealed
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        insta::assert_snapshot!(format!("{ring:?} {hex}"), @"Keyring(38a723c487921ef7) bf6ef358c599f2eaa4427a733f58d2258a6602f16c0d3dbc537226cb253554e6273407fe74ac8ee2df0b4a4930d7");
    }
}
