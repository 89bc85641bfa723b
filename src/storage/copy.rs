//! Copies all of a store into an empty one, of whatever engines. How far it has
//! come stands in the target, after the records it tells of: a copy that was
//! killed goes on with the chunk that was under way, which changes nothing that
//! is there already.

use std::fmt;

use super::{ChunkSize, Copying, Engine, Error, Occupancy, Totals};

/// Why a store was not copied, in words that follow the name of the target.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The target holds something else.
    #[error("it is in use already, perhaps by a finished copy; name one that is empty")]
    Used,
    /// The target holds a part of another store.
    #[error(
        "it holds a part of {0}; finish that copy, or remove what it holds, or name another one"
    )]
    OtherSource(String),
    /// The source is not what it was.
    #[error(
        "it holds a part of the source as it was once, which has changed since; remove it and \
         copy anew"
    )]
    SourceChanged,
    /// There is no more room in the target.
    #[error("its disk is full; make room and repeat the command, which goes on where it stopped")]
    Full,
    /// What arrived is not what was sent.
    #[error("it does not hold what the source does: {0}; run `postrider storage check` on both")]
    Differs(Differences),
    /// The source failed.
    #[error("the source cannot be read")]
    Source(#[source] Error),
    /// The target failed.
    #[error("it cannot be written")]
    Target(#[source] Error),
}

/// Kinds of rows of which there are not as many: name, source, target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differences(pub Vec<(&'static str, u64, u64)>);

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, source, target)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{target} of {source} {name}")?;
        }
        Ok(())
    }
}

/// How far a copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Records that are durable in the target.
    pub done: u64,
    /// Records that the source has.
    pub total: u64,
}

/// Copies the store of this name and returns what was copied, which was counted
/// in both. Goes on with a copy that was begun before.
pub async fn copy(
    source: &dyn Engine,
    name: &str,
    target: &dyn Engine,
    size: ChunkSize,
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<Totals, CopyError> {
    let totals = source.counts().await.map_err(CopyError::Source)?.totals;
    let mut copying = begin(name, &totals, target).await?;
    let total = records(&totals);
    let mut tell = |done| report(Progress { done, total });
    tell(copying.done);
    let first = source.export(copying.after.clone(), size).await;
    let mut chunk = first.map_err(CopyError::Source)?;
    loop {
        let next = chunk.next;
        let count = chunk.records.len() as u64;
        // The next chunk is read while this one is written.
        let (imported, following) = tokio::join!(target.import(chunk.records), async {
            match next.clone() {
                Some(next) => source.export(Some(next), size).await.map(Some),
                None => Ok(None),
            }
        });
        imported.map_err(from_target)?;
        copying.done += count;
        copying.after = next;
        tell(copying.done);
        let Some(following) = following.map_err(CopyError::Source)? else {
            break;
        };
        let noted = target.note_copy(Some(copying.clone())).await;
        noted.map_err(from_target)?;
        chunk = following;
    }
    let found = target.counts().await.map_err(CopyError::Target)?.totals;
    let differences = differences(&totals, &found);
    if !differences.is_empty() {
        return Err(CopyError::Differs(Differences(differences)));
    }
    target.note_copy(None).await.map_err(from_target)?;
    Ok(totals)
}

/// Finds the copy that is to go on, or notes that one begins.
async fn begin(name: &str, totals: &Totals, target: &dyn Engine) -> Result<Copying, CopyError> {
    let fingerprint = fingerprint(totals);
    match target.occupancy().await.map_err(CopyError::Target)? {
        Occupancy::Used => Err(CopyError::Used),
        Occupancy::Copying(copying) if copying.source != name => {
            Err(CopyError::OtherSource(copying.source))
        }
        Occupancy::Copying(copying) if copying.fingerprint != fingerprint => {
            Err(CopyError::SourceChanged)
        }
        Occupancy::Copying(copying) => Ok(copying),
        Occupancy::Empty => {
            let copying = Copying {
                source: name.to_owned(),
                fingerprint,
                after: None,
                done: 0,
            };
            let noted = target.note_copy(Some(copying.clone())).await;
            noted.map_err(from_target)?;
            Ok(copying)
        }
    }
}

/// How many records an export has, but for the few that no count tells.
fn records(totals: &Totals) -> u64 {
    let Totals {
        subscriptions,
        requests,
        api_keys,
        events,
        deliveries,
        attempts,
        ..
    } = totals;
    subscriptions + requests + api_keys + events + deliveries + attempts
}

/// Changes whenever a server has done anything to the store. Request ids are
/// left out, which are forgotten by themselves.
fn fingerprint(totals: &Totals) -> Vec<u8> {
    let known = Totals {
        requests: 0,
        ..*totals
    };
    let numbers = named(&known).map(|(_, number)| number.to_be_bytes());
    numbers.concat()
}

fn differences(source: &Totals, target: &Totals) -> Vec<(&'static str, u64, u64)> {
    let pairs = named(source).into_iter().zip(named(target));
    pairs
        .filter(|(source, target)| source != target)
        .map(|((name, source), (_, target))| (name, source, target))
        .collect()
}

fn named(totals: &Totals) -> [(&'static str, u64); 11] {
    [
        ("subscriptions", totals.subscriptions),
        ("versions of subscriptions", totals.subscription_versions),
        ("request ids", totals.requests),
        ("API keys", totals.api_keys),
        ("revoked API keys", totals.revoked_api_keys),
        ("events", totals.events),
        ("erased events", totals.erased),
        ("deliveries", totals.deliveries),
        ("due deliveries", totals.due),
        ("attempts", totals.attempts),
        ("idempotency keys", totals.idempotency_keys),
    ]
}

fn from_target(error: Error) -> CopyError {
    match error {
        Error::Full => CopyError::Full,
        error => CopyError::Target(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_both_counts() {
        let source = Totals {
            events: 3,
            deliveries: 9,
            ..Totals::default()
        };
        let target = Totals {
            events: 3,
            deliveries: 7,
            due: 1,
            ..Totals::default()
        };
        let text = Differences(differences(&source, &target)).to_string();
        assert_eq!(text, "7 of 9 deliveries, 1 of 0 due deliveries");
        assert!(differences(&source, &source).is_empty());
    }

    #[test]
    fn forgotten_request_ids_are_no_change_of_the_source() {
        let before = Totals {
            requests: 2,
            ..Totals::default()
        };
        assert_eq!(fingerprint(&before), fingerprint(&Totals::default()));
        let changed = Totals {
            subscription_versions: 1,
            ..Totals::default()
        };
        assert_ne!(fingerprint(&changed), fingerprint(&before));
    }
}
