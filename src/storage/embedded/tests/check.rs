//! A check finds what should not be so, and nothing in a sound store.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use super::{
    super::{
        check::{Report, audit},
        day::Day,
        key,
        kv::{Batch, Partition, Space},
        memory::Disk,
        open_in_memory, piece,
        row::{DeliveryRow, EventRow, IdempotencyRow, write_attempt},
        threads::Threads,
    },
    support::*,
};
use crate::{
    domain::{Delivery, DeliveryId, DeliveryState, Event, StatsKey},
    storage::{Checked, DueKey, Finding, LogPosition},
};

/// The day of which everything is.
const DAY: &str = "2024-01-15";

/// An event that was delivered to one subscription and not yet to another.
fn long() -> Event {
    Event {
        idempotency_key: Some("key".to_owned()),
        payload: payload(vec![b'1'; 10_000]),
        ..event(1, NOON)
    }
}

fn done() -> DeliveryId {
    DeliveryId::new(long().id, 0)
}

fn waiting() -> DeliveryId {
    DeliveryId::new(long().id, 1)
}

fn place(id: DeliveryId) -> DueKey {
    DueKey {
        due: NOON,
        delivery_id: id,
    }
}

/// A disk with a store on it that has some of everything.
pub(super) async fn filled() -> Disk {
    filled_with(&[]).await
}

/// The same with further events.
async fn filled_with(further: &[Event]) -> Disk {
    let disk = Disk::default();
    let clock = Arc::new(TestClock::at(NOON));
    let engine = open_in_memory(&disk, Threads::Own, clock).await.unwrap();
    subscribe(&*engine, 2).await;
    let request = Some("request".to_owned());
    let created = engine
        .create_subscription(subscription(3), request, None)
        .await;
    created.unwrap();
    deliver(&*engine, long(), &[1, 2]).await;
    let records = vec![succeeded(done(), 1)];
    engine.record_attempts(records).await.unwrap();
    for event in further {
        deliver(&*engine, event.clone(), &[1]).await;
    }
    engine.close().await;
    disk
}

fn check(disk: &Disk) -> (Checked, Vec<Finding>) {
    check_days(disk, Box::new(disk.space("days/")))
}

/// Checks a store whose days stand there.
pub(super) fn check_days(disk: &Disk, days: Box<dyn Space>) -> (Checked, Vec<Finding>) {
    let found = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&found);
    let found_one = Box::new(move |finding| keep.lock().unwrap().push(finding));
    let report = Report::new(Disk::keyring(), found_one);
    let checked = audit(Path::new("data"), &disk.space(""), days, 0, report);
    let found = found.lock().unwrap().clone();
    assert_eq!(checked.findings, found.len() as u64);
    (checked, found)
}

/// What is found once these writes are made to the day.
async fn found_after(write: impl FnOnce(&dyn Partition, &mut Batch)) -> Vec<String> {
    let disk = filled().await;
    let day = disk.space("days/").open(DAY, 0).unwrap();
    let mut batch = Batch::default();
    write(&*day, &mut batch);
    day.commit(batch).unwrap();
    let (_, found) = check(&disk);
    let place = format!("data/days/{DAY}");
    assert!(found.iter().all(|finding| finding.place == place));
    found.into_iter().map(|finding| finding.what).collect()
}

/// A delivery as the day has it.
fn delivery(day: &dyn Partition, number: u128, id: DeliveryId) -> DeliveryRow {
    let row = day.get(&key::delivery(sub(number), id)).unwrap().unwrap();
    DeliveryRow::read(sub(number), id, &row).unwrap()
}

/// What is found if the attempt and its count do not agree.
fn miscounted() -> String {
    format!(
        "attempts of order.shipped for {} from {NOON} are not counted as there are",
        sub(1)
    )
}

fn put(batch: &mut Batch, row: &DeliveryRow) {
    let Delivery {
        subscription_id,
        id,
        ..
    } = row.delivery;
    batch.put(key::delivery(subscription_id, id), row.write());
}

#[tokio::test]
async fn a_sound_store_has_no_findings() {
    let (checked, found) = check(&filled().await);
    assert_eq!(found, Vec::new());
    let totals = checked.totals;
    assert_eq!((totals.subscriptions, totals.requests), (3, 1));
    assert_eq!((totals.events, totals.deliveries), (1, 2));
    assert_eq!((totals.due, totals.attempts), (1, 1));
    assert_eq!((totals.idempotency_keys, checked.days), (1, 1));
}

#[tokio::test]
async fn an_event_and_what_belongs_to_it_have_to_be_whole() {
    let (event, id) = (key::event(tenant(), long().id), long().id);
    let found = found_after(|day, batch| {
        piece::remove(day, batch, key::body(id)).unwrap();
    });
    assert_eq!(found.await, [format!("event {id} has lost its payload")]);

    let found = found_after(|_, batch| batch.remove(key::piece(&key::body(id), 1)));
    let body = key::body(id);
    let broken = format!("row {} makes no sense", body.escape_ascii());
    assert!(found.await.contains(&broken));

    let found = found_after(|_, batch| batch.put(key::piece(&key::body(id), 9), vec![1]));
    let stray = key::piece(&body, 9);
    let stray = format!("row {} makes no sense", stray.escape_ascii());
    assert_eq!(found.await, [stray]);

    let found = found_after(|_, batch| batch.remove(event.clone())).await;
    for expected in [
        format!("delivery {} has no event", done()),
        format!("delivery {} has no event", waiting()),
        format!("an idempotency key names event {id}, which is missing"),
        "1 payloads belong to no event".to_owned(),
    ] {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }

    let found = found_after(|_, batch| {
        batch.remove(event.clone());
        piece::put(batch, event.clone(), &EventRow::write(&long(), &[sub(1)]));
    });
    let elsewhere = format!(
        "delivery {} goes to {}, and its event does not",
        waiting(),
        sub(2)
    );
    assert!(found.await.contains(&elsewhere));

    let found = found_after(|_, batch| batch.put(b"?".to_vec(), vec![1]));
    assert_eq!(found.await, ["row ? makes no sense"]);
}

#[tokio::test]
async fn an_idempotency_key_has_to_tell_of_its_event() {
    let id = long().id;
    let key = key::idempotency(tenant(), "key");
    let found = found_after(|_, batch| batch.remove(key.clone()));
    let unknown = format!("the idempotency key of event {id} is not known");
    assert_eq!(found.await, [unknown]);
    let found = found_after(|day, batch| {
        let row = day.get(&key).unwrap().unwrap();
        let row = IdempotencyRow::read(&row).unwrap();
        let row = IdempotencyRow {
            delivery_count: 7,
            ..row
        };
        batch.put(key.clone(), row.write());
    });
    let another = format!("an idempotency key names event {id}, which is another");
    assert_eq!(found.await, [another]);
}

#[tokio::test]
async fn a_queue_and_its_deliveries_have_to_agree() {
    let (done, waiting) = (done(), waiting());
    let found = found_after(|_, batch| batch.remove(key::due(sub(2), place(waiting))));
    let lost = format!("delivery {waiting} is due at {NOON} and stands in no queue");
    assert_eq!(found.await, [lost]);

    let found = found_after(|_, batch| batch.put(key::due(sub(1), place(done)), Vec::new()));
    let early = format!("the queue has delivery {done} at {NOON}, when it is not due");
    assert_eq!(found.await, [early]);

    let found = found_after(|_, batch| batch.remove(key::delivery(sub(2), waiting)));
    assert_eq!(
        found.await,
        [
            format!("delivery {waiting} is missing"),
            format!("the queue has delivery {waiting}, which is missing")
        ]
    );

    let found = found_after(|day, batch| {
        let mut row = delivery(day, 2, waiting);
        row.delivery.state = DeliveryState::Succeeded;
        put(batch, &row);
    });
    let both = format!("delivery {waiting} is settled and due");
    assert_eq!(found.await, [both]);

    let found = found_after(|day, batch| {
        let mut row = delivery(day, 2, waiting);
        row.delivery.due = None;
        put(batch, &row);
    });
    let neither = format!("delivery {waiting} is neither settled nor due");
    assert!(found.await.contains(&neither));
}

#[tokio::test]
async fn attempts_and_their_deliveries_have_to_agree() {
    let id = done();
    let position = LogPosition(NOON.as_micros());
    let at = position.0;
    let found = found_after(|day, batch| {
        piece::remove(day, batch, key::attempt(position)).unwrap();
    });
    assert_eq!(
        found.await,
        [
            format!("delivery {id} has lost its attempt at {at}"),
            format!("has lost the attempt at {at}, and perhaps more"),
            "holds 0 attempts, and 1 were written".to_owned(),
            miscounted(),
        ]
    );

    let found = found_after(|day, batch| {
        let mut row = delivery(day, 1, id);
        row.attempts.clear();
        put(batch, &row);
    });
    assert_eq!(
        found.await,
        [
            format!("the attempt at {at} is not listed by its delivery {id}"),
            format!("delivery {id} counts 1 attempts and lists 0"),
        ]
    );

    let other = DeliveryId::new(event(2, NOON).id, 0);
    let found = found_after(|_, batch| {
        let row = write_attempt(&attempt(other, 1));
        piece::put(batch, key::attempt(position), &row);
    });
    assert_eq!(
        found.await,
        [
            format!("the attempt at {at} has lost its delivery {other}"),
            format!("delivery {id} lists the attempt at {at}, which is of another one"),
        ]
    );

    let found = found_after(|_, batch| batch.put(key::attempt(position), vec![0, 9]));
    let row = key::attempt(position);
    let row = format!("row {} makes no sense", row.escape_ascii());
    assert_eq!(found.await, [row, miscounted()]);
}

#[tokio::test]
async fn what_is_counted_has_to_be_what_there_is() {
    let counted = StatsKey::of(&attempt(done(), 1));
    let key = key::stats(tenant(), &counted);
    let found = found_after(|_, batch| batch.remove(key.clone()));
    assert_eq!(found.await, [miscounted()]);
    let found = found_after(|day, batch| {
        let row = day.get(&key).unwrap().unwrap();
        let other = StatsKey {
            start: NOON.after(StatsKey::SPAN),
            ..counted.clone()
        };
        batch.put(key::stats(tenant(), &other), row);
    });
    assert_eq!(found.await.len(), 1);
    let found = found_after(|_, batch| batch.put(key.clone(), vec![0]));
    let malformed = format!("row {} makes no sense", key.escape_ascii());
    assert_eq!(found.await, [malformed, miscounted()]);
}

#[tokio::test]
async fn the_catalog_has_to_read_and_to_be_true_of_the_days() {
    let disk = filled().await;
    let catalog = disk.space("").open("catalog", 0).unwrap();
    let day = Day::of(NOON);
    let mut batch = Batch::default();
    batch.put(key::resting(day), 5_u64.to_be_bytes().to_vec());
    batch.put(key::resting(day.next()), 0_u64.to_be_bytes().to_vec());
    batch.put(key::first_day(), vec![1]);
    batch.put(key::gone(), vec![1]);
    catalog.commit(batch).unwrap();
    let (_, found) = check(&disk);
    let texts: Vec<_> = found
        .iter()
        .map(|finding| format!("{}: {}", finding.place, finding.what))
        .collect();
    assert_eq!(
        texts,
        [
            "data/catalog: row F makes no sense".to_owned(),
            "data/catalog: row G makes no sense".to_owned(),
            format!(
                "data/days/{DAY}: delivery {} is due on a day at rest",
                waiting()
            ),
            format!(
                "data/days/{DAY}: is at rest with the last attempt at 5, and has one at {}",
                NOON.as_micros()
            ),
            "data/days/2024-01-16: is missing, and retention did not remove it".to_owned(),
        ]
    );
}

#[tokio::test]
async fn what_was_there_at_the_last_close_has_to_be_there() {
    let disk = filled().await;
    disk.space("days/").remove(DAY).unwrap();
    disk.space("days/").open(DAY, 0).unwrap();
    let (_, found) = check(&disk);
    let texts: Vec<_> = found.into_iter().map(|finding| finding.what).collect();
    assert_eq!(
        texts,
        [
            format!("has lost event {}, and perhaps more", long().id),
            format!(
                "has lost the attempt at {}, and perhaps more",
                NOON.as_micros()
            ),
        ]
    );
    disk.space("days/").remove(DAY).unwrap();
    let (_, found) = check(&disk);
    let missing = "is missing, and retention did not remove it";
    assert_eq!(found[0].what, missing);
    assert_eq!(found.len(), 1);
}

/// As behind a hole in the log of a database that goes on.
#[tokio::test]
async fn an_event_that_is_gone_with_all_its_rows_is_missed() {
    let lost = event(0, NOON);
    let disk = filled_with(std::slice::from_ref(&lost)).await;
    let day = disk.space("days/").open(DAY, 0).unwrap();
    let mut batch = Batch::default();
    batch.remove(key::event(tenant(), lost.id));
    batch.remove(key::delivery(sub(1), DeliveryId::new(lost.id, 0)));
    batch.remove(key::due(sub(1), place(DeliveryId::new(lost.id, 0))));
    day.commit(batch).unwrap();
    let (_, found) = check(&disk);
    let texts: Vec<_> = found.into_iter().map(|finding| finding.what).collect();
    assert_eq!(texts, ["holds 1 events, and 2 were written"]);
}

#[tokio::test]
async fn a_catalog_that_is_gone_is_found_and_not_made_anew() {
    let disk = filled().await;
    disk.space("").remove("catalog").unwrap();
    for _ in 0..2 {
        let (checked, found) = check(&disk);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].place, "data/catalog");
        assert_eq!(checked.totals.events, 1);
    }
}
