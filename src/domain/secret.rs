//! Signing secrets. Their text is in no `Debug` output and no error.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Invalid, Timestamp};

const PREFIX: &str = "whsec_";
const GENERATED_BYTES: usize = 32;

/// A secret as its owner writes it: `whsec_` and the base64 of 24 to 64 bytes,
/// or 24 to 128 bytes of printable ASCII without spaces.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// A new secret of 32 random bytes.
    pub fn generate(random: [u8; GENERATED_BYTES]) -> Self {
        Self(Arc::from(format!("{PREFIX}{}", STANDARD.encode(random))))
    }

    /// The secret's characters. For the store, for the one reply that shows
    /// them, and for the SHA256_BODY scheme, whose key they are.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key of the STANDARD_WEBHOOKS scheme: the decoded bytes of a
    /// `whsec_` secret, the characters of any other.
    pub fn standard_key(&self) -> Vec<u8> {
        match self.0.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD
                .decode(encoded)
                .expect("a whsec_ secret was decoded when it was parsed"),
            None => self.0.as_bytes().to_vec(),
        }
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
                .is_ok_and(|key| (24..=64).contains(&key.len())),
            None => (24..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()),
        };
        if valid {
            Ok(Self(Arc::from(text)))
        } else {
            Err(Invalid::new(
                "must be \"whsec_\" and the padded base64 of 24 to 64 bytes, or 24 to 128 bytes \
                 of printable ASCII without spaces",
            ))
        }
    }
}

/// The secrets that sign: the newest for good, older ones until they expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSecrets {
    newest: Secret,
    /// Newest first, each with the time at which it stops signing.
    older: Vec<(Secret, Timestamp)>,
}

impl LiveSecrets {
    /// Most secrets that sign at once.
    pub const MAX: usize = 5;
    /// Overlap of a rotation that names none.
    pub const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);
    /// Longest overlap of a rotation.
    pub const MAX_OVERLAP: Duration = Duration::from_hours(7 * 24);

    /// One secret.
    pub fn new(newest: Secret) -> Self {
        Self {
            newest,
            older: Vec::new(),
        }
    }

    /// What was stored: the newest and the older ones, newest first.
    pub fn from_parts(newest: Secret, older: Vec<(Secret, Timestamp)>) -> Self {
        Self { newest, older }
    }

    /// The secret that signs for good.
    pub fn newest(&self) -> &Secret {
        &self.newest
    }

    /// The older secrets, newest first, with the times at which they expire.
    pub fn older(&self) -> &[(Secret, Timestamp)] {
        &self.older
    }

    /// The secrets that sign at this time, newest first.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let older = self.older.iter().filter(move |(_, expires)| *expires > now);
        std::iter::once(&self.newest).chain(older.map(|(secret, _)| secret))
    }

    /// Makes `secret` the newest; the ones live now go on for at most
    /// `overlap`.
    pub fn rotate(
        &self,
        secret: Secret,
        overlap: Duration,
        now: Timestamp,
    ) -> Result<Self, Invalid> {
        if overlap > Self::MAX_OVERLAP {
            return Err(Invalid::new("must be 0 to 7 days"));
        }
        let until = now.after(overlap);
        let expiries = std::iter::once(Timestamp::MAX).chain(self.live_older(now));
        let older: Vec<_> = self
            .live(now)
            .cloned()
            .zip(expiries)
            .filter(|(old, _)| *old != secret)
            .map(|(old, expires)| (old, expires.min(until)))
            .filter(|(_, expires)| *expires > now)
            .collect();
        if older.len() >= Self::MAX {
            return Err(Invalid::new(format!(
                "would make more than {} live secrets; wait for one to expire, or rotate with \
                 overlap 0",
                Self::MAX
            )));
        }
        Ok(Self {
            newest: secret,
            older,
        })
    }

    fn live_older(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let expiries = self.older.iter().map(|(_, expires)| *expires);
        expiries.filter(move |expires| *expires > now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(n: u8) -> Secret {
        Secret::generate([n; 32])
    }

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
        let secrets = LiveSecrets::from_parts(secret(1), vec![(secret(2), Timestamp::MAX)]);
        let shown = format!("{secrets:?}");
        assert!(!shown.contains("whsec_"), "{shown}");
    }

    proptest! {
        /// Each step waits, then rotates; a model keeps who may sign until when.
        #[test]
        fn a_rotated_secret_signs_until_its_overlap_ends(
            steps in prop::collection::vec((0_u64..200, 0_u64..400), 1..12),
        ) {
            let mut now = Timestamp::from_secs(1_000);
            let mut secrets = LiveSecrets::new(secret(0));
            let mut model = vec![(secret(0), Timestamp::MAX)];
            for (n, (wait, overlap)) in (1..).zip(steps) {
                now = now.after(Duration::from_secs(wait));
                let until = now.after(Duration::from_secs(overlap));
                let mut rotated = vec![(secret(n), Timestamp::MAX)];
                let old = model.iter().map(|(s, t)| (s.clone(), (*t).min(until)));
                rotated.extend(old.filter(|(_, expires)| *expires > now));
                match secrets.rotate(secret(n), Duration::from_secs(overlap), now) {
                    Ok(next) => (secrets, model) = (next, rotated),
                    Err(_) => prop_assert!(rotated.len() > LiveSecrets::MAX),
                }
                let live: Vec<_> = secrets.live(now).cloned().collect();
                let expected = model.iter().filter(|(_, expires)| *expires > now);
                prop_assert_eq!(live, expected.map(|(s, _)| s.clone()).collect::<Vec<_>>());
            }
        }
    }
}
