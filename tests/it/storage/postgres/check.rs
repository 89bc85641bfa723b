//! The check of a store in a database: what is sound has no findings, and what
//! is damaged is named.

use crate::support::keyring;
use std::sync::{Arc, Mutex};

use postrider::{
    domain::{DeliveryId, Event, EventId},
    storage::{
        Checked, Engine,
        postgres::{Url, check},
    },
};

use super::{super::build::*, super::fixture::Fixture, InPostgres};
use crate::support::cluster::connect;

/// How many events there are, each to be damaged in another way.
const EVENTS: u128 = 16;

fn keyed(number: u128) -> Event {
    Event {
        idempotency_key: Some(format!("key-{number}")),
        payload: payload(vec![b'1'; 2_000]),
        ..event(number, NOON)
    }
}

/// Events with two deliveries, the first of which was tried once; the day after,
/// one more.
async fn fill(engine: &dyn Engine) {
    subscribe(engine, 2).await;
    for number in 1..=EVENTS {
        let first = deliver(engine, keyed(number), &[1, 2]).await;
        let record = failed(first, 1, after(60));
        engine.record_attempts(vec![record]).await.unwrap();
    }
    deliver(engine, event(1, days_after(1)), &[1]).await;
}

/// What a check comes to, and its findings.
async fn checked(url: &Url) -> (Checked, Vec<String>) {
    let findings = Arc::new(Mutex::new(Vec::new()));
    let keep = findings.clone();
    let found = move |finding: postrider::storage::Finding| {
        let line = format!("{}: {}", finding.place, finding.what);
        keep.lock().unwrap().push(line);
    };
    let checked = check(url, keyring(), Box::new(found)).await.unwrap();
    let findings = std::mem::take(&mut *findings.lock().unwrap());
    (checked, findings)
}

fn hex(id: [u8; 16]) -> String {
    format!("'{:032x}'", u128::from_be_bytes(id))
}

fn id_of(number: u128) -> EventId {
    event(number, NOON).id
}

fn event_hex(number: u128) -> String {
    hex(id_of(number).to_bytes())
}

fn delivery_hex(number: u128, ordinal: u16) -> String {
    hex(DeliveryId::new(id_of(number), ordinal).to_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_store_has_as_much_as_it_counts_and_no_findings() {
    let store = InPostgres::new().await;
    fill(&**store.engine()).await;
    let counts = store.engine().counts().await.unwrap();
    store.engine().close().await;
    let (checked, findings) = checked(&store.url).await;
    assert_eq!(findings, Vec::<String>::new());
    assert_eq!(checked.totals, counts.totals);
    assert_eq!((checked.days, checked.findings), (2, 0));
}

/// What damages one event after the other, and more.
fn statements() -> Vec<String> {
    vec![
        format!(
            "UPDATE event SET content = '\\x00' WHERE id = {}",
            event_hex(1)
        ),
        format!("UPDATE event SET body = NULL WHERE id = {}", event_hex(2)),
        format!(
            "UPDATE event SET body = set_byte(body, 999, 50) WHERE id = {}",
            event_hex(15)
        ),
        format!(
            "UPDATE event SET content = set_byte(content, 9, 1 # get_byte(content, 9))
             WHERE id = {}",
            event_hex(16)
        ),
        format!("DELETE FROM idempotency WHERE event = {}", event_hex(3)),
        format!("DELETE FROM delivery WHERE id = {}", delivery_hex(4, 1)),
        format!("DELETE FROM event WHERE id = {}", event_hex(5)),
        format!(
            "UPDATE delivery SET subscription = {} WHERE id = {}",
            hex(sub(3).to_bytes()),
            delivery_hex(6, 1)
        ),
        format!("DELETE FROM ready WHERE delivery = {}", delivery_hex(7, 1)),
        format!(
            "UPDATE delivery SET due = NULL WHERE id = {}",
            delivery_hex(8, 1)
        ),
        format!(
            "UPDATE delivery SET state = 4 WHERE id = {}",
            delivery_hex(9, 1)
        ),
        format!(
            "DELETE FROM attempt WHERE delivery = {}",
            delivery_hex(10, 0)
        ),
        "UPDATE attempt SET content = '\\x00' WHERE position = 11".to_owned(),
        "INSERT INTO attempt SELECT * FROM attempt WHERE position = 12".to_owned(),
        format!("DELETE FROM delivery WHERE id = {}", delivery_hex(13, 0)),
        format!(
            "UPDATE idempotency SET content = (SELECT content FROM idempotency WHERE event = {})
             WHERE event = {}",
            event_hex(12),
            event_hex(14)
        ),
        format!(
            "UPDATE subscription SET version = 9 WHERE id = {}",
            hex(sub(2).to_bytes())
        ),
        "DELETE FROM shard_lease WHERE shard = 7".to_owned(),
        "INSERT INTO replay VALUES ('00000000-0000-0000-0000-000000000001', 'default', true, '\\x00')".to_owned(),
        "INSERT INTO api_key VALUES ('00000000-0000-0000-0000-000000000002', '', '\\x00')".to_owned(),
        "DELETE FROM stats WHERE ctid = (SELECT min(ctid) FROM stats)".to_owned(),
        "DROP TABLE attempt_2024_01_16".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_named_wherever_it_is() {
    let store = InPostgres::new().await;
    fill(&**store.engine()).await;
    store.engine().close().await;
    let client = connect(&store.text_url).await;
    let damage = async |statement: String| {
        let statement = format!("SET search_path = postrider; {statement}");
        client.batch_execute(&statement).await.expect(&statement);
    };
    for number in 1..=EVENTS {
        let first = delivery_hex(number, 0);
        damage(format!(
            "UPDATE attempt SET position = {number} WHERE delivery = {first}"
        ))
        .await;
    }
    for statement in statements() {
        damage(statement).await;
    }
    let (checked, findings) = checked(&store.url).await;
    assert_eq!(checked.findings, findings.len() as u64);
    insta::assert_snapshot!(findings.join("\n"), @"
    postrider.shard_lease: has 255 of 256 shards; what is in the others is never sent
    postrider.subscription: subscription sub_01hm690k80e008000000000002 is of two versions
    postrider.replay: row 00000000-0000-0000-0000-000000000001 makes no sense
    postrider.api_key: row 00000000-0000-0000-0000-000000000002 makes no sense
    postrider.attempt: has no partition of 2024-01-16, of which there are others
    postrider.event_2024_01_15: row evt_01hm690k80e008000000002000 makes no sense
    postrider.event_2024_01_15: event evt_01hm690k80e008000000004000 has lost its payload
    postrider.event_2024_01_15: event evt_01hm690k80e00800000000y000 has a changed payload
    postrider.event_2024_01_15: row evt_01hm690k80e008000000010000 makes no sense
    postrider.event_2024_01_15: the idempotency key of event evt_01hm690k80e008000000006000 is not known
    postrider.event_2024_01_15: delivery dlv_01hm690k80e008000000008001 is missing
    postrider.event_2024_01_15: delivery dlv_01hm690k80e00800000000t000 is missing
    postrider.idempotency_2024_01_15: an idempotency key names event evt_01hm690k80e00800000000w000, which is another
    postrider.idempotency_2024_01_15: an idempotency key names event evt_01hm690k80e00800000000a000, which is missing
    postrider.delivery_2024_01_15: delivery dlv_01hm690k80e00800000000a000 has no event
    postrider.delivery_2024_01_15: delivery dlv_01hm690k80e00800000000a001 has no event
    postrider.delivery_2024_01_15: delivery dlv_01hm690k80e00800000000c001 goes to sub_01hm690k80e008000000000003, and its event does not
    postrider.delivery_2024_01_15: delivery dlv_01hm690k80e00800000000c001 is due at 2024-01-15T10:00:00Z and stands in no queue
    postrider.delivery_2024_01_15: delivery dlv_01hm690k80e00800000000e001 is due at 2024-01-15T10:00:00Z and stands in no queue
    postrider.delivery_2024_01_15: delivery dlv_01hm690k80e00800000000g001 is neither settled nor due
    postrider.delivery_2024_01_15: delivery dlv_01hm690k80e00800000000j001 is settled and due
    postrider.delivery_2024_01_15: delivery dlv_01hm690k80e00800000000m000 counts 1 attempts and has 0
    postrider.delivery_2024_01_15: delivery dlv_01hm690k80e00800000000r000 counts 1 attempts and has 2
    postrider.attempt_2024_01_15: row 11 makes no sense
    postrider.attempt_2024_01_15: the attempt at 13 has lost its delivery dlv_01hm690k80e00800000000t000
    postrider.stats_2024_01_15: attempts of order.shipped for sub_01hm690k80e008000000000001 from 2024-01-15T10:00:00Z are not counted as there are
    postrider.ready: the queue has delivery dlv_01hm690k80e00800000000t000, which is missing
    postrider.ready: the queue has delivery dlv_01hm690k80e008000000008001, which is missing
    postrider.ready: the queue has delivery dlv_01hm690k80e00800000000c001 at 2024-01-15T10:00:00Z, when it is not due
    postrider.ready: the queue has delivery dlv_01hm690k80e00800000000g001 at 2024-01-15T10:00:00Z, when it is not due
    postrider.attempt: several attempts are at 12
    ");
}
