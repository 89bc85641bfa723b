//! Which secrets of a subscription sign, and until when: rotation.

use std::time::Duration;

use super::{Invalid, Secret, SigningKey, Timestamp};

/// Secrets of one kind that sign: the newest for good, older ones until they
/// expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live<T> {
    newest: T,
    /// Newest first, each with the time at which it stops signing.
    older: Vec<(T, Timestamp)>,
}

/// Secrets that receivers know too.
pub type LiveSecrets = Live<Secret>;

/// Keys of which receivers know the public half.
pub type LiveKeys = Live<SigningKey>;

impl<T: Clone + PartialEq> Live<T> {
    /// Most secrets that sign at once.
    pub const MAX: usize = 5;
    /// Overlap of a rotation that names none.
    pub const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);
    /// Longest overlap of a rotation.
    pub const MAX_OVERLAP: Duration = Duration::from_hours(7 * 24);

    /// One secret.
    pub fn new(newest: T) -> Self {
        Self {
            newest,
            older: Vec::new(),
        }
    }

    /// What was stored: the newest and the older ones, newest first.
    pub fn from_parts(newest: T, older: Vec<(T, Timestamp)>) -> Self {
        Self { newest, older }
    }

    /// The secret that signs for good.
    pub fn newest(&self) -> &T {
        &self.newest
    }

    /// The older secrets, newest first, with the times at which they expire.
    pub fn older(&self) -> &[(T, Timestamp)] {
        &self.older
    }

    /// The secrets that sign at this time, newest first.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = &T> {
        let older = self.older.iter().filter(move |(_, expires)| *expires > now);
        std::iter::once(&self.newest).chain(older.map(|(secret, _)| secret))
    }

    /// Makes `secret` the newest; the ones live now go on for at most
    /// `overlap`.
    pub fn rotate(&self, secret: T, overlap: Duration, now: Timestamp) -> Result<Self, Invalid> {
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

    /// All of them, newest first, each with the time at which it stops signing.
    pub fn with_expiries(&self) -> impl Iterator<Item = (&T, Timestamp)> {
        let older = self
            .older
            .iter()
            .map(|(secret, expires)| (secret, *expires));
        std::iter::once((&self.newest, Timestamp::MAX)).chain(older)
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
