//! A store as a whole: what is read of it can be put into another one, which
//! then is the same.

use std::sync::Arc;

use postrider::{
    domain::{
        Delivery, DeliveryFilter, DeliveryId, Event, Holder, Replay, ReplayId, ReplayMode,
        ReplaySpec, Subscription, TimeRange,
    },
    storage::{
        AcceptEvents, Accepted, ChunkSize, CopyError, Copying, Created, DueKey, Engine,
        EventFilter, LogPosition, Occupancy, Stored, View, copy,
    },
};
use tokio::sync::mpsc;

use super::{
    super::{
        build::*,
        fixture::Fixture,
        wait::{log_end_from, logged},
    },
    keys::key,
};

const SMALL: ChunkSize = ChunkSize {
    records: 3,
    bytes: 1_000_000,
};
pub(super) const LARGE: ChunkSize = ChunkSize {
    records: 10_000,
    bytes: 10_000_000,
};

fn keyed(event: Event, key: &str) -> Event {
    Event {
        idempotency_key: Some(key.to_owned()),
        ..event
    }
}

/// An event with a key and a long payload.
fn long() -> Event {
    Event {
        payload: payload(vec![b'1'; 20_000]),
        ..keyed(event(1, NOON), "key-1")
    }
}

/// An event of another tenant.
fn foreign() -> Event {
    Event {
        tenant: "other".parse().unwrap(),
        ..keyed(event(6, NOON), "key-1")
    }
}

async fn accept_foreign(engine: &dyn Engine) -> Accepted {
    let call = AcceptEvents {
        tenant: "other".parse().unwrap(),
        routed_at: None,
        events: vec![routed(foreign(), &[])],
    };
    engine.accept_events(call).await.unwrap()[0]
}

async fn create_by_request(engine: &dyn Engine, number: u128) -> Created {
    let request = Some("request-1".to_owned());
    let created = engine.create_subscription(subscription(number), request, None);
    created.await.unwrap()
}

/// How many attempts [`fill`] makes.
pub(super) const ATTEMPTS: usize = 5;

/// Something of everything: deliveries that are new, tried, done and of a
/// subscription that is gone, over three days.
pub(super) async fn fill(engine: &dyn Engine) {
    subscribe(engine, 3).await;
    create_by_request(engine, 4).await;
    let long = deliver(engine, long(), &[1, 2, 3, 4]).await;
    let short = deliver(engine, event(2, NOON), &[1]).await;
    let next_day = deliver(engine, event(3, days_after(1)), &[2]).await;
    deliver(engine, event(4, days_after(3)), &[3, 1]).await;
    deliver(engine, keyed(event(5, days_after(3)), "key-5"), &[]).await;
    accept_foreign(engine).await;
    let to_second = DeliveryId::new(long.event_id(), 1);
    for records in [
        vec![failed(long, 1, after(60)), succeeded(next_day, 2)],
        vec![failed(to_second, 2, days_after(2))],
        vec![succeeded(short, 1)],
    ] {
        engine.record_attempts(records).await.unwrap();
    }
    let mut again = succeeded(long, 1);
    again.revision = 1;
    again.due = after(60);
    again.attempt.number = 2;
    engine.record_attempts(vec![again]).await.unwrap();
    let spec = ReplaySpec {
        subscription_id: sub(1),
        event_types: Vec::new(),
        accepted: TimeRange::ALL,
        mode: ReplayMode::Failed,
        rate_limit: ReplaySpec::DEFAULT_RATE,
    };
    for number in 1..=2 {
        let id = ReplayId::new(NOON, number);
        let replay = Replay::new(id, tenant().clone(), spec.clone(), NOON);
        engine.create_replay(replay).await.unwrap();
    }
    let holder = Holder::Tenant(tenant().clone());
    engine.create_key(key(1, holder)).await.unwrap();
    let deleted = engine.delete_subscription(tenant(), sub(3), None, after(9));
    deleted.await.unwrap();
}

/// All records of an export.
pub(super) async fn export(engine: &dyn Engine, size: ChunkSize) -> Vec<Stored> {
    let mut records = Vec::new();
    let mut after = None;
    loop {
        let chunk = engine.export(after, size).await.unwrap();
        records.extend(chunk.records);
        after = chunk.next;
        if after.is_none() {
            return records;
        }
    }
}

pub(super) async fn copied(source: &dyn Engine, target: &dyn Engine) -> Result<(), CopyError> {
    let copied = copy(source, "memory:source", target, SMALL, &mut |_| {}).await;
    copied.map(|_| ())
}

/// What callers see of a store.
#[derive(Debug, PartialEq)]
struct Seen {
    subscriptions: Vec<Arc<Subscription>>,
    events: Vec<Event>,
    deliveries: Vec<Delivery>,
    attempts: usize,
    replays: Vec<Replay>,
    log: Vec<(LogPosition, Arc<postrider::domain::Attempt>)>,
    queues: Vec<Vec<DueKey>>,
    end: LogPosition,
}

/// What callers see of a store that was filled, once its log shows all of it.
async fn see(engine: &dyn Engine) -> Seen {
    let log = logged(engine, LogPosition::default(), ATTEMPTS).await;
    let events = EventFilter {
        types: Vec::new(),
        accepted: TimeRange::ALL,
    };
    let deliveries = DeliveryFilter::default();
    let attempts = every_page(4, |page| engine.list_attempts(tenant(), &deliveries, page));
    let mut queues = Vec::new();
    for due in engine.due_subscriptions(None, 100).await.unwrap() {
        let queue = engine.due(due.subscription_id, None, 100).await.unwrap();
        queues.push(queue.entries);
    }
    Seen {
        subscriptions: engine
            .tenant_subscriptions(tenant())
            .await
            .unwrap()
            .subscriptions,
        attempts: attempts.await.len(),
        replays: every_page(4, |page| engine.list_replays(tenant(), page)).await,
        events: every_page(4, |page| {
            engine.list_events(tenant(), &events, View::Full, page)
        })
        .await,
        deliveries: every_page(4, |page| {
            engine.list_deliveries(tenant(), &deliveries, page)
        })
        .await,
        log,
        queues,
        end: *engine.log_end().borrow(),
    }
}

pub async fn what_was_exported_and_imported_reads_the_same(store: &mut dyn Fixture) {
    let source = store.another().await;
    fill(&*source).await;
    copied(&*source, &**store.engine()).await.unwrap();
    let expected = see(&*source).await;
    assert_eq!(expected.deliveries.len(), 8);
    assert_eq!(expected.attempts, ATTEMPTS);
    assert_eq!(expected.replays.len(), 2);
    assert_eq!(expected.log.len(), ATTEMPTS);
    assert_eq!(expected.queues.len(), 4);
    for _ in 0..2 {
        let engine = &**store.engine();
        assert_eq!(see(engine).await, expected);
        let counts = engine.counts().await.unwrap();
        assert_eq!(counts.totals, source.counts().await.unwrap().totals);
        let first = accept(engine, vec![routed(long(), &[1])]).await.unwrap()[0];
        assert!(first.duplicate && first.delivery_count == 4, "{first:?}");
        assert!(accept_foreign(engine).await.duplicate);
        let created = create_by_request(engine, 9).await;
        assert!(matches!(created, Created::Repeated(found) if *found == subscription(4)));
        store.reopen().await;
    }
    // It goes on as the source would have.
    let engine = &**store.engine();
    let record = succeeded(DeliveryId::new(event(4, days_after(3)).id, 1), 1);
    engine.record_attempts(vec![record]).await.unwrap();
    let log = logged(engine, expected.end, 1).await;
    assert_eq!(log.len(), 1);
    assert_eq!(engine.counts().await.unwrap().totals.due, 4);
}

pub async fn a_chunk_that_is_imported_twice_changes_nothing(store: &mut dyn Fixture) {
    let source = store.another().await;
    fill(&*source).await;
    let records = export(&*source, LARGE).await;
    let engine = store.engine();
    for chunk in records.chunks(5).chain(records.chunks(7)) {
        engine.import(chunk.to_vec()).await.unwrap();
        engine.import(chunk.to_vec()).await.unwrap();
    }
    assert_eq!(export(&**engine, LARGE).await, records);
    assert_eq!(see(&**engine).await, see(&*source).await);
}

pub async fn an_export_of_any_size_of_chunks_holds_everything_once(store: &mut dyn Fixture) {
    let engine = store.engine();
    fill(&**engine).await;
    let records = export(&**engine, LARGE).await;
    // Subscriptions, a request, replays, a key, events, deliveries, attempts.
    assert_eq!(records.len(), 3 + 1 + 2 + 1 + 6 + 8 + 5);
    for size in 1..=records.len() {
        let small = ChunkSize {
            records: size,
            ..LARGE
        };
        assert_eq!(export(&**engine, small).await, records, "{size}");
    }
    let tiny = ChunkSize { bytes: 1, ..LARGE };
    assert_eq!(export(&**engine, tiny).await, records);
}

pub async fn a_copy_goes_on_after_a_crash_wherever_it_was(store: &mut dyn Fixture) {
    let source = store.another().await;
    fill(&*source).await;
    let expected = see(&*source).await;
    let mut crashes = 0;
    loop {
        let target = store.engine().clone();
        let (told, mut telling) = mpsc::unbounded_channel();
        let mut tell = |_| told.send(()).expect("somebody listens");
        // One record a chunk: how many of them go between two looks depends on
        // how fast the target answers.
        let mut single = SMALL;
        single.records = 1;
        let copying = copy(&*source, "memory:source", &*target, single, &mut tell);
        let finished = tokio::select! {
            biased;
            copied = copying => {
                copied.unwrap();
                true
            }
            // It began, one chunk arrived and was noted, and another one arrived.
            () = async { for _ in 0..3 { telling.recv().await; } } => false,
        };
        if finished {
            break;
        }
        // What was asked of the store is done before the crash, which therefore
        // comes between two chunks.
        target.cancel_pending(sub(99), 1, NOON).await.unwrap();
        crashes += 1;
        assert!(crashes < 100, "it gets further each time");
        drop(target);
        store.crash().await;
        match store.engine().occupancy().await.unwrap() {
            Occupancy::Copying(_) => {}
            // The last thing that was asked of it was to be finished.
            Occupancy::Used => break,
            Occupancy::Empty => panic!("a copy was begun"),
        }
    }
    assert!(crashes > 3, "{crashes}");
    store.reopen().await;
    assert_eq!(see(&**store.engine()).await, expected);
    let finished = store.engine().occupancy().await.unwrap();
    assert_eq!(finished, Occupancy::Used);
}

pub async fn a_copy_into_anything_else_is_refused(store: &mut dyn Fixture) {
    let source = store.another().await;
    fill(&*source).await;
    let target = store.engine();
    assert_eq!(target.occupancy().await.unwrap(), Occupancy::Empty);
    let begun = Copying {
        source: "memory:elsewhere".to_owned(),
        fingerprint: vec![1],
        after: None,
        done: 7,
    };
    target.note_copy(Some(begun.clone())).await.unwrap();
    let refused = copied(&*source, &**target).await;
    assert!(matches!(refused, Err(CopyError::OtherSource(_))));
    let changed = Copying {
        source: "memory:source".to_owned(),
        ..begun
    };
    target.note_copy(Some(changed)).await.unwrap();
    let refused = copied(&*source, &**target).await;
    assert!(matches!(refused, Err(CopyError::SourceChanged)));
    target.note_copy(None).await.unwrap();
    assert_eq!(target.occupancy().await.unwrap(), Occupancy::Empty);
    subscribe(&**target, 1).await;
    let refused = copied(&*source, &**target).await;
    assert!(matches!(refused, Err(CopyError::Used)));
}

pub async fn what_retention_removed_is_known_to_the_copy(store: &mut dyn Fixture) {
    let source = store.another().await;
    subscribe(&*source, 1).await;
    let old = deliver(&*source, event(1, NOON), &[1]).await;
    let records = vec![succeeded(old, 1)];
    source.record_attempts(records).await.unwrap();
    let kept = deliver(&*source, event(2, days_after(1)), &[1]).await;
    let records = vec![succeeded(kept, 1)];
    source.record_attempts(records).await.unwrap();
    let log = logged(&*source, LogPosition::default(), 2).await;
    let (read, end) = (log[0].0, log[1].0);
    source.remove_expired(days_after(1)).await.unwrap();

    copied(&*source, &**store.engine()).await.unwrap();
    for _ in 0..2 {
        let engine = store.engine();
        let expected = source.read_log(LogPosition::default(), 9).await.unwrap();
        let slice = engine.read_log(LogPosition::default(), 9).await.unwrap();
        assert!(slice.removed_before.is_some());
        assert_eq!(slice.removed_before, expected.removed_before);
        assert_eq!(slice.attempts.len(), 1);
        assert!(end > read);
        assert_eq!(log_end_from(&**engine, end).await, end);
        store.reopen().await;
    }
}
