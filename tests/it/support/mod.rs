//! What the tests stand on: the real binary as a process, a scripted webhook
//! receiver, and waiting that is bounded.

pub mod cluster;
mod dns;
mod outsider;
pub mod process;
pub mod receiver;
mod sound;
pub mod tls;

use std::{future::Future, time::Duration};

use postrider::domain::{Keyring, RootKeys};

pub use cluster::{Cluster, Fsync};
pub use dns::{Dns, Reply as Answer};
pub use outsider::Outsider;
pub use process::Process;
pub use receiver::{Received, Receiver, Reply};
pub use sound::assert_sound;

/// The keys that everything under test has.
pub fn root_keys() -> RootKeys {
    process::ROOT_KEY.parse().unwrap()
}

/// What stores under test seal secrets by.
pub fn keyring() -> Keyring {
    let keys = root_keys();
    Keyring::new(&keys.newest, &keys.older)
}

/// Longest anything in a test is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for the future, and fails with `what` if it takes too long.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// Asks again and again until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    within(what, async {
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}
