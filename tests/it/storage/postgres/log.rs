//! The log where transactions commit in another order than they began.

use postrider::{
    domain::{DeliveryId, Timestamp},
    storage::LogPosition,
};

use super::{
    super::{
        build::*,
        fixture::Fixture,
        wait::{log_end_from, logged},
    },
    InPostgres,
};
use crate::support::{Cluster, Fsync, cluster::connect};

/// How an attempt is written, given its place in the transaction.
const INSERT: &str = "INSERT INTO postrider.attempt
    SELECT base + (pg_current_xact_id()::text::bigint << 10) + 1, a.delivery, a.id, a.recorded,
        a.next_attempt_time, a.content
    FROM postrider.log, postrider.attempt a ORDER BY a.position LIMIT 1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_never_skips_a_slow_commit() {
    // Nobody else's transactions hold back the log of this cluster.
    let cluster = Cluster::start(Fsync::Off);
    let store = InPostgres::within(&cluster).await;
    let engine = &**store.engine();
    let record = async |number: u128| {
        let id = deliver(engine, event(number, NOON), &[1]).await;
        let recorded = engine.record_attempts(vec![succeeded(id, 1)]).await;
        recorded.unwrap();
        id
    };
    let first = record(1).await;
    let seen = logged(engine, LogPosition::default(), 1).await;
    let seen = seen[0].0;

    // One that is slow begins, and others commit before it does.
    let slow = connect(&store.text_url).await;
    slow.batch_execute("BEGIN").await.unwrap();
    slow.batch_execute(INSERT).await.unwrap();
    let others = [record(2).await, record(3).await];
    let shown = engine.read_log(seen, 10).await.unwrap();
    assert_eq!(shown.attempts, []);
    assert_eq!(*engine.log_end().borrow(), seen);
    slow.batch_execute("COMMIT").await.unwrap();

    let shown = logged(engine, seen, 3).await;
    let shown: Vec<_> = shown.iter().map(|(_, log)| log.delivery_id).collect();
    assert_eq!(shown, [first, others[0], others[1]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_in_the_log_is_found_where_clocks_differ_by_seconds() {
    let store = InPostgres::new().await;
    let engine = &**store.engine();
    let id = deliver(engine, event(1, NOON), &[1]).await;
    // Two processes write in turn, one of which is four seconds behind.
    let mut times = Vec::new();
    for second in 0..40 {
        let behind = if second % 2 == 0 { 0 } else { 4 };
        let time = after(60 + second - behind);
        store.clock().set(time);
        let recorded = engine.record_attempts(vec![failed(id, 1, after(99))]);
        recorded.await.unwrap();
        times.push(time);
    }
    let log = logged(engine, LogPosition::default(), times.len()).await;
    for second in 50..110 {
        let time = after(second);
        let found = engine.position_before(time).await.unwrap();
        let first = times.iter().position(|recorded| *recorded >= time);
        let expected = first.map_or(log.len(), |first| first);
        let shown = log.iter().filter(|(position, _)| *position > found);
        assert_eq!(shown.count(), log.len() - expected, "{second}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_go_on_in_a_younger_cluster() {
    let mut store = InPostgres::new().await;
    let record = async |store: &InPostgres, number: u128, time: Timestamp| {
        let id: DeliveryId = deliver(&**store.engine(), event(number, time), &[1]).await;
        let recorded = store.engine().record_attempts(vec![succeeded(id, 1)]).await;
        recorded.unwrap();
    };
    subscribe(&**store.engine(), 1).await;
    record(&store, 1, NOON).await;
    let log = logged(&**store.engine(), LogPosition::default(), 1).await;

    // As if the rows came from where there were many more transactions.
    let client = connect(&store.text_url).await;
    let older = "UPDATE postrider.attempt SET position = position + (1::bigint << 40);
                 UPDATE postrider.subscription
                 SET changed = (pg_current_xact_id()::text::bigint + (1::bigint << 30))::text::xid8";
    client.batch_execute(older).await.unwrap();
    store.reopen().await;
    record(&store, 2, NOON).await;

    let moved = LogPosition(log[0].0.0 + (1 << 40));
    let end = log_end_from(&**store.engine(), LogPosition(moved.0 + 1)).await;
    let all = logged(&**store.engine(), LogPosition::default(), 2).await;
    let positions: Vec<_> = all.iter().map(|(position, _)| *position).collect();
    assert_eq!(positions, [moved, end]);
    let marks = "SELECT count(*) FROM postrider.subscription WHERE changed > pg_current_xact_id()";
    let marks = client.query_one(marks, &[]).await.unwrap();
    assert_eq!(marks.get::<_, i64>(0), 0);
}
