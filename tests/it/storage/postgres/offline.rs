//! Who works on a store alone, and who serves it, keep out of each other's way.

use crate::support::keyring;
use std::sync::Arc;

use postrider::storage::{
    Copying, Error, Purpose,
    postgres::{OpenError, Url, check},
};

use super::{
    super::build::*, super::fixture::Fixture, super::fixture::TestClock, InPostgres, open_in, owns,
};
use crate::support::{Cluster, cluster::connect, eventually, within};

/// Why a store is not opened.
async fn refusal(purpose: Purpose, url: &Url, clock: &Arc<TestClock>) -> OpenError {
    let refused = open_in(purpose, url, clock).await;
    refused.err().expect("it is refused")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_served_is_neither_read_nor_copied_into() {
    let store = InPostgres::new().await;
    for purpose in [Purpose::Read, Purpose::CopyInto] {
        let refused = refusal(purpose, &store.url, &store.clock).await;
        let text = refused.to_string();
        assert!(matches!(refused, OpenError::InUse { .. }), "{text}");
        assert!(
            text.contains("is in use by another process; stop all servers"),
            "{text}"
        );
    }
    let checked = check(&store.url, keyring(), Box::new(|_| {})).await;
    assert!(matches!(checked, Err(OpenError::InUse { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_read_is_served_by_nobody_and_owns_nothing() {
    let store = InPostgres::new().await;
    subscribe(&**store.engine(), 1).await;
    let id = deliver(&**store.engine(), event(1, NOON), &[1]).await;
    store.engine().close().await;
    let read = open_in(Purpose::Read, &store.url, &store.clock)
        .await
        .unwrap();
    assert!(!read.owns(sub(1)));
    let refused = read.record_attempts(vec![succeeded(id, 1)]).await;
    assert!(matches!(refused, Err(Error::LeaseLost)));
    for purpose in [Purpose::Serve, Purpose::Read] {
        let refused = refusal(purpose, &store.url, &store.clock).await;
        assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    }
    read.close().await;
    let served = open_in(Purpose::Serve, &store.url, &store.clock).await;
    served.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_lease_has_ended_joins_again_after_who_reads() {
    let store = InPostgres::new().await;
    let engine = &**store.engine();
    let client = connect(&store.text_url).await;
    // The server may renew it in between.
    let read = eventually("the lease to have ended", async || {
        let end = "UPDATE postrider.member SET until = now() - interval '1 second'";
        client.execute(end, &[]).await.unwrap();
        let opened = open_in(Purpose::Read, &store.url, &store.clock).await;
        opened.ok()
    });
    let read = read.await;
    let mut ownership = engine.ownership();
    within("the server to notice", async {
        while engine.owns(sub(1)) {
            ownership.changed().await.unwrap();
        }
    })
    .await;
    let members = client.query_one("SELECT count(*) FROM postrider.member", &[]);
    assert_eq!(members.await.unwrap().get::<_, i64>(0), 0);
    read.close().await;
    owns(engine, 0..=255).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_copy_is_opened_by_nothing_but_a_copy() {
    let store = InPostgres::new().await;
    let copying = Copying {
        source: "sled:/var/old".to_owned(),
        fingerprint: Vec::new(),
        after: None,
        done: 0,
    };
    store.engine().note_copy(Some(copying)).await.unwrap();
    store.engine().close().await;
    let url = &store.url;
    for purpose in [Purpose::Serve, Purpose::Read] {
        assert_eq!(
            refusal(purpose, url, &store.clock).await.to_string(),
            format!(
                "{url} holds a part of sled:/var/old only; run `postrider storage copy` from \
                 there once more, which goes on where it stopped, or drop the schema postrider \
                 in the database"
            )
        );
    }
    let checked = check(url, keyring(), Box::new(|_| {})).await.unwrap();
    assert_eq!(checked.findings, 1);
    let copied = open_in(Purpose::CopyInto, url, &store.clock).await.unwrap();
    copied.note_copy(None).await.unwrap();
    copied.close().await;
    open_in(Purpose::Serve, url, &store.clock)
        .await
        .unwrap()
        .close()
        .await;
}

#[tokio::test]
async fn a_store_to_be_read_is_not_made() {
    let (url, _) = Cluster::shared().bare_database().await;
    let clock = TestClock::new();
    for _ in 0..2 {
        let refused = refusal(Purpose::Read, &url, &clock).await;
        assert_eq!(refused.to_string(), format!("there is no store in {url}"));
    }
}
