//! A disk of the database that has no room for events, but for a lease.

use std::sync::Arc;

use postrider::storage::{Engine, Error, Health};
use tokio_postgres::Client;

use super::{
    super::{build::*, fixture::Fixture},
    InPostgres, LEASE,
};
use crate::support::{cluster::connect, within};

const FREE: &str = "DROP TRIGGER full_disk ON postrider.event_2024_01_15";

/// A store that has just refused an event for want of room, and how to make some.
async fn full_store() -> (InPostgres, Arc<dyn Engine>, Client) {
    let store = InPostgres::new().await;
    let engine = store.engine().clone();
    subscribe(&*engine, 1).await;
    deliver(&*engine, event(1, NOON), &[1]).await;
    let client = connect(&store.text_url).await;
    let fill = "CREATE FUNCTION postrider.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON postrider.event_2024_01_15
            FOR EACH ROW EXECUTE FUNCTION postrider.refuse()";
    client.batch_execute(fill).await.unwrap();
    let refused = accept(&*engine, vec![routed(event(2, NOON), &[1])]).await;
    assert!(matches!(refused, Err(Error::Full)), "{refused:?}");
    assert_eq!(*engine.health().borrow(), Health::Full);
    (store, engine, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_until_events_are_taken_again() {
    let (_store, engine, client) = full_store().await;
    let mut health = engine.health();
    // The lease is renewed meanwhile, several times.
    tokio::time::sleep(2 * LEASE).await;
    assert!(!health.has_changed().unwrap(), "{:?}", health.borrow());
    client.batch_execute(FREE).await.unwrap();
    deliver(&*engine, event(3, NOON), &[1]).await;
    assert_eq!(*health.borrow_and_update(), Health::Writable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_that_nobody_asks_about_is_taken_for_free_after_a_while() {
    let (_store, engine, _client) = full_store().await;
    let mut health = engine.health();
    let writable = health.wait_for(|health| *health == Health::Writable);
    within("another try", writable).await.unwrap();
}
