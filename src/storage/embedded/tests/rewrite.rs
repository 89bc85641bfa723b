//! Days are written anew without what was erased, and nothing else is lost.

use std::{path::PathBuf, sync::Arc};

use super::{
    super::{
        Disk,
        check::{Report, audit},
        day::Day,
        dir::DataDir,
        key,
        kv::{Batch, Space},
        open::start,
        store::Store,
        write::Write,
    },
    support::*,
};
use crate::{
    domain::{Erasure, Event, EventId},
    storage::{
        Engine, Erase, Error, Health, Log, LogPosition, Purpose, Queue, RemovedEvents, Result,
        Retention, View,
    },
};

/// The day of [`NOON`].
const DAY: &str = "2024-01-15";

fn open(disk: &Disk) -> Store {
    let owner = disk.take().expect("nobody else has it");
    let dir = DataDir::locked(PathBuf::from("data"), "memory".to_owned(), owner);
    let (root, days) = (disk.space(""), Box::new(disk.space("days/")));
    let clock = Arc::new(TestClock::at(NOON));
    start(Purpose::Serve, dir, &root, days, 0, Disk::keyring(), clock).unwrap()
}

/// Of several of these not all fit into one piece.
fn large(number: u128) -> Event {
    Event {
        payload: payload(vec![b'1'; 50_000]),
        ..event(number, NOON)
    }
}

async fn publish(store: &Store, number: u128) -> Result<EventId> {
    let call = routed(large(number), &[1]);
    Ok(accept(store, vec![call]).await?[0].event_id)
}

async fn fill(store: &Store) {
    subscribe(store, 1).await;
    for number in 1..=8 {
        let delivery = deliver(store, large(number), &[1]).await;
        if number > 4 {
            let records = vec![succeeded(delivery, 1)];
            store.record_attempts(records).await.unwrap();
        }
    }
}

/// Erases the third event, and writes while the day is written anew.
async fn erase_under_writes(store: &Store) -> Result<Vec<EventId>> {
    let mut published = Vec::new();
    let third = Erasure::Event(event(3, NOON).id);
    store.erase(tenant(), third, after(5)).await?;
    while store.write(Write::Rewrite).await? {
        let number = 100 + published.len() as u128;
        published.push(publish(store, number).await?);
    }
    Ok(published)
}

async fn is_erased(store: &Store, number: u128) -> bool {
    let read = store.event(tenant(), event(number, NOON).id, View::Full);
    let read = read.await.unwrap();
    let length = read.payload.data.len();
    assert_eq!(length, if read.is_erased() { 0 } else { 50_000 });
    read.is_erased()
}

/// The partitions of days.
fn partitions(disk: &Disk) -> Vec<String> {
    disk.space("days/").list().unwrap()
}

fn findings(disk: &Disk) -> Vec<String> {
    let found = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let finding = Arc::clone(&found);
    let days = Box::new(disk.space("days/"));
    let root = disk.space("");
    let note = Box::new(move |it: crate::storage::Finding| finding.lock().push(it.what));
    let report = Report::new(Disk::keyring(), note);
    audit(&PathBuf::from("data"), &root, days, 0, report);
    let found = found.lock();
    found.clone()
}

#[tokio::test]
async fn what_is_written_while_a_day_is_written_anew_is_in_it() {
    let disk = Disk::default();
    let store = open(&disk);
    fill(&store).await;
    let published = erase_under_writes(&store).await.unwrap();
    assert!(published.len() > 1);
    assert_eq!(partitions(&disk), [format!("{DAY}.1")]);
    store.close().await;
    drop(store);

    let store = open(&disk);
    for id in published {
        store.event(tenant(), id, View::Full).await.unwrap();
    }
    for number in 1..=8 {
        assert_eq!(is_erased(&store, number).await, number == 3);
    }
    let log = store.read_log(LogPosition::default(), 9).await.unwrap();
    assert_eq!(log.attempts.len(), 4);
    store.close().await;
    drop(store);
    assert_eq!(findings(&disk), [""; 0]);
}

#[tokio::test]
async fn a_power_cut_at_any_write_of_an_erasure_loses_nothing() {
    for writes in 0.. {
        let disk = Disk::default();
        let store = open(&disk);
        fill(&store).await;
        disk.cut_power_after(writes);
        let cut = erase_under_writes(&store).await;
        store.close().await;
        drop(store);
        // Of what was not synced, this or that is there all the same.
        let mut number = writes;
        disk.restart(|| {
            number += 1;
            number.is_multiple_of(2)
        });
        let store = open(&disk);
        assert_eq!(*store.health().borrow(), Health::Writable);
        if let Ok(published) = &cut {
            for id in published {
                store.event(tenant(), *id, View::Full).await.unwrap();
            }
        }
        let third = Erasure::Event(event(3, NOON).id);
        store.erase(tenant(), third, after(9)).await.unwrap();
        while store.write(Write::Rewrite).await.unwrap() {}
        for number in 1..=8 {
            assert_eq!(is_erased(&store, number).await, number == 3, "{writes}");
        }
        let log = store.read_log(LogPosition::default(), 9).await.unwrap();
        assert_eq!(log.attempts.len(), 4, "{writes}");
        store.close().await;
        drop(store);
        let left = partitions(&disk);
        assert!(left.len() == 1 && *left[0] > *DAY, "{left:?}");
        assert_eq!(findings(&disk), [""; 0], "{writes}");
        if cut.is_ok() {
            assert!(writes > 6, "{writes}");
            return;
        }
    }
}

#[tokio::test]
async fn a_day_waits_on_a_full_disk_until_there_is_room_for_a_copy() {
    let disk = Disk::default();
    let store = open(&disk);
    fill(&store).await;
    store.close().await;
    drop(store);
    let mut noted = Batch::default();
    noted.put(key::rewrite(Day::of(NOON)), Vec::new());
    let catalog = disk.space("").open("catalog", 0).unwrap();
    catalog.commit(noted).unwrap();

    disk.set_full(true);
    let store = open(&disk);
    let refused = store.write(Write::Rewrite).await;
    assert!(matches!(refused, Err(Error::Full)), "{refused:?}");
    assert_eq!(partitions(&disk), [DAY]);
    disk.set_full(false);
    while store.write(Write::Rewrite).await.unwrap() {}
    assert_eq!(partitions(&disk), [format!("{DAY}.1")]);
}

#[tokio::test]
async fn a_day_is_sound_after_the_events_of_a_tenant_went() {
    let disk = Disk::default();
    let store = open(&disk);
    fill(&store).await;
    let removed = store.remove_of_tenant(tenant(), days_after(1)).await;
    assert_eq!(removed.unwrap(), RemovedEvents { events: 4, kept: 4 });
    while store.write(Write::Rewrite).await.unwrap() {}
    store.close().await;
    drop(store);
    assert_eq!(partitions(&disk), [format!("{DAY}.1")]);
    assert_eq!(findings(&disk), [""; 0]);
}
