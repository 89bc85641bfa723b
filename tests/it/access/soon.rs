//! How soon a key is good for nothing that another process revoked, on a clock
//! that the test moves.

use crate::support::root_keys;
use std::{sync::Arc, time::Duration};

use postrider::{
    bootstrap::{SystemClock, SystemRandom},
    control::{AccessSettings, Control, Error, Limits, QuotaSettings},
    domain::{ApiKeySpec, Clock, Guard, Holder, KeyHasher, NotAuthenticated, Scope, TenantId},
    resolve::{self, Resolver},
    storage::{
        Engine,
        embedded::{Disk, Threads, open_in_memory},
    },
};
use tokio::time::{Instant, sleep};

/// What is promised.
const SOON: Duration = Duration::from_secs(1);

fn control(store: &Arc<dyn Engine>) -> Control {
    let access = AccessSettings {
        keys_needed: true,
        hasher: KeyHasher::new(&root_keys()),
        admin: None,
        certificates: Vec::new(),
    };
    Control::new(
        Arc::clone(store),
        Arc::new(SystemClock),
        Arc::new(SystemRandom),
        Resolver::new(Guard::default(), &resolve::Settings::default()).unwrap(),
        Limits::default(),
        access,
        QuotaSettings::default(),
    )
}

fn spec() -> ApiKeySpec {
    ApiKeySpec {
        holder: Holder::Tenant(TenantId::default()),
        scopes: [Scope::Read].into_iter().collect(),
        description: String::new(),
        expire_time: None,
    }
}

async fn refusal(control: &Control, key: &str) -> Option<NotAuthenticated> {
    match control.identify(Some(key), None).await {
        Ok(_) => None,
        Err(Error::NotAuthenticated(why)) => Some(why),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_revoked_elsewhere_is_refused_within_a_second() {
    let store = open_in_memory(&Disk::default(), Threads::Own, Arc::new(SystemClock))
        .await
        .unwrap();
    let control = control(&store);
    for wait in [0, 100, 250, 299, 301, 500, 699, 701, 5_000].map(Duration::from_millis) {
        let (key, text) = control.create_key(spec()).await.unwrap();
        let stream = tokio::spawn(control.until_refused(Some(key.id)));
        let began = Instant::now();
        while began.elapsed() < wait {
            assert_eq!(refusal(&control, text.expose()).await, None);
            sleep(Duration::from_millis(1)).await;
        }
        // Past the control that keeps the key.
        let now = SystemClock.now();
        store
            .revoke_key(&key.spec.holder, key.id, now)
            .await
            .unwrap();
        let revoked = Instant::now();
        while refusal(&control, text.expose()).await.is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        let ended = stream.await.unwrap();
        assert_eq!(ended, NotAuthenticated::Revoked);
        assert!(
            revoked.elapsed() < SOON,
            "{:?} after {wait:?}",
            revoked.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_revoked_here_is_refused_at_once() {
    let store = open_in_memory(&Disk::default(), Threads::Own, Arc::new(SystemClock))
        .await
        .unwrap();
    let control = control(&store);
    let (key, text) = control.create_key(spec()).await.unwrap();
    let stream = tokio::spawn(control.until_refused(Some(key.id)));
    assert_eq!(refusal(&control, text.expose()).await, None);
    let caller = control.identify(Some(text.expose()), None).await.unwrap();
    let caller = caller.call(None, Scope::Read).unwrap();
    control.revoke_key(&caller, key.id).await.unwrap();
    let refused = refusal(&control, text.expose()).await;
    assert_eq!(refused, Some(NotAuthenticated::Revoked));
    assert_eq!(stream.await.unwrap(), NotAuthenticated::Revoked);
}
