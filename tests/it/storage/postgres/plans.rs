//! Plans are made while tables are empty, and have to be good when they are not.

use std::time::Duration;

use postrider::domain::DeliveryId;

use super::{
    super::{build::*, fixture::Fixture},
    InPostgres,
};
use crate::support::{cluster::connect, eventually};

const EVENTS: u128 = 4_000;
const LOADED: u128 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_of_a_young_day_is_loaded_by_its_own_rows() {
    let store = InPostgres::new().await;
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let load = async |number: u128| {
        let id = DeliveryId::new(event(number, NOON).id, 0);
        let work = engine.load_work(sub(1), id).await.unwrap();
        assert_eq!(work.map(|work| work.delivery.id), Some(id));
    };
    for first in (0..EVENTS).step_by(500) {
        let events = (first..first + 500).map(|number| routed(event(number, NOON), &[1]));
        accept(engine, events.collect()).await.unwrap();
        load(first).await;
    }
    for number in 0..LOADED {
        load(number * EVENTS / LOADED).await;
    }
    let client = connect(&store.text_url).await;
    let read = async || {
        let read = "SELECT sum(idx_scan)::bigint, sum(idx_tup_read)::bigint
                    FROM pg_stat_user_indexes WHERE relname = 'event_2024_01_15'";
        let row = client.query_one(read, &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    // A connection tells what it did once it does something a second later.
    let (scans, rows) = eventually("the statistics", async || {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        for number in 0..4 {
            load(number).await;
        }
        let (scans, rows) = read().await;
        (scans >= i64::try_from(LOADED).unwrap()).then_some((scans, rows))
    })
    .await;
    assert!(rows <= 2 * scans, "{scans} scans read {rows} rows");
}
