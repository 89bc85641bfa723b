//! Replays: what they look at, what their steps leave, and what a step that is
//! repeated does.

use postrider::{
    domain::{
        Delivery, DeliveryId, DeliveryState, Event, EventId, Next, Outcomes, Replay, ReplayId,
        ReplayMode, ReplaySpec, ReplayState, ReplayStep, SubscriptionId, TimeRange, Trigger,
    },
    storage::{
        AttemptRecord, DeliveryChange, Engine, Error, ReplayAdvance, ReplayChange, Resource,
        Routed, View,
    },
};

use super::super::{build::*, fixture::Fixture};

/// A replay to the first subscription, created after everything else.
fn replay(number: u128, mode: ReplayMode) -> Replay {
    let spec = ReplaySpec {
        subscription_id: sub(1),
        event_types: Vec::new(),
        accepted: TimeRange::ALL,
        mode,
        rate_limit: ReplaySpec::DEFAULT_RATE,
    };
    let created = days_after(3);
    let id = ReplayId::new(created, number);
    Replay::new(id, tenant().clone(), spec, created)
}

/// The step after what was done, which looks at so many events.
async fn next_step(engine: &dyn Engine, replay: &Replay, limit: usize) -> ReplayAdvance {
    let found = engine.candidates(replay, limit).await.unwrap();
    let wanted = subscription(1);
    let chosen = found.items.iter().filter(|candidate| {
        let delivery = candidate.delivery.as_ref();
        replay.step(&wanted, &candidate.event_type, delivery) != ReplayStep::Leave
    });
    ReplayAdvance {
        tenant: tenant().clone(),
        id: replay.id,
        after: replay.after,
        events: chosen.map(|candidate| candidate.event_id).collect(),
        up_to: found.next,
        now: days_after(4),
    }
}

/// Makes every step, so many events at a time.
async fn run(engine: &dyn Engine, mut replay: Replay, limit: usize) -> Replay {
    engine.create_replay(replay.clone()).await.unwrap();
    while !replay.all_begun {
        let step = next_step(engine, &replay, limit).await;
        replay = engine.advance_replay(step).await.unwrap();
    }
    replay
}

/// An event to the first subscription whose delivery has ended so.
async fn ended(engine: &dyn Engine, event: Event, next: Next) -> DeliveryId {
    let id = deliver(engine, event, &[1]).await;
    let record = AttemptRecord {
        next,
        ..succeeded(id, 1)
    };
    engine.record_attempts(vec![record]).await.unwrap();
    id
}

async fn delivery(engine: &dyn Engine, id: DeliveryId) -> Delivery {
    engine.delivery(tenant(), id).await.unwrap()
}

async fn queue(engine: &dyn Engine) -> Vec<DeliveryId> {
    let page = engine.due(sub(1), None, 100).await.unwrap();
    page.entries.iter().map(|entry| entry.delivery_id).collect()
}

pub async fn each_mode_begins_its_own_deliveries(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 2).await;
    let failed = ended(engine, event(1, NOON), Next::Exhaust).await;
    let succeeded = ended(engine, event(2, NOON), Next::Succeed).await;
    let missing = deliver(engine, event(3, days_after(1)), &[2])
        .await
        .event_id();
    let pending = deliver(engine, event(4, days_after(1)), &[2, 1]).await;
    let pending = DeliveryId::new(pending.event_id(), 1);
    let unrouted = event(5, days_after(2));
    accept(engine, vec![routed(unrouted.clone(), &[])])
        .await
        .unwrap();
    let sample = Routed {
        trigger: Trigger::Test,
        ..routed(event(6, days_after(2)), &[2])
    };
    accept(engine, vec![sample]).await.unwrap();
    // Not before the replays were created.
    deliver(engine, event(7, days_after(3)), &[2]).await;
    assert_eq!(queue(engine).await, [pending]);

    let done = run(engine, replay(1, ReplayMode::Failed), 2).await;
    assert_eq!((done.done, done.all_begun), (1, true));
    let again = delivery(engine, failed).await;
    assert_eq!(again.state, DeliveryState::Pending);
    assert_eq!((again.trigger, again.chain_start), (Trigger::Replay, 1));
    assert_eq!(queue(engine).await, [pending, failed]);

    let done = run(engine, replay(2, ReplayMode::Missing), 2).await;
    assert_eq!(done.done, 2);
    let added = DeliveryId::new(missing, 1);
    let first = DeliveryId::new(unrouted.id, 0);
    assert_eq!(queue(engine).await, [pending, failed, added, first]);
    let new = delivery(engine, added).await;
    assert_eq!(
        (new.state, new.trigger),
        (DeliveryState::Pending, Trigger::Replay)
    );
    assert_eq!((new.create_time, new.attempt_count), (days_after(4), 0));

    // What is on its way, or was begun since, is left alone.
    let done = run(engine, replay(3, ReplayMode::All), 100).await;
    assert_eq!(delivery(engine, succeeded).await.trigger, Trigger::Replay);
    let expected = [pending, failed, succeeded, added, first];
    assert_eq!(queue(engine).await, expected);
    // Those that the others began since it was created count as begun.
    assert_eq!(done.done, 4);
}

pub async fn an_added_delivery_reads_like_any_other(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 2).await;
    for (number, size) in [(1, 10), (2, 10_000)] {
        let large = Event {
            payload: payload(vec![b'1'; size]),
            idempotency_key: Some(number.to_string()),
            ..event(number, NOON)
        };
        deliver(&**store.engine(), large, &[2]).await;
    }
    let replay = run(&**store.engine(), replay(1, ReplayMode::Missing), 9).await;
    assert_eq!(replay.done, 2);
    for _ in 0..2 {
        let engine = &**store.engine();
        for (number, size) in [(1, 10), (2, 10_000)] {
            let id = DeliveryId::new(event(number, NOON).id, 1);
            let work = engine.load_work(sub(1), id).await.unwrap().unwrap();
            assert_eq!(work.event.payload.data, vec![b'1'; size]);
            assert_eq!(work.delivery, delivery(engine, id).await);
            let filter = postrider::domain::DeliveryFilter {
                event_id: Some(id.event_id()),
                ..Default::default()
            };
            let listed = every_page(1, |page| engine.list_deliveries(tenant(), &filter, page));
            assert_eq!(listed.await.len(), 2);
            let found = engine
                .event(tenant(), id.event_id(), View::Full)
                .await
                .unwrap();
            assert_eq!(found.payload.data, vec![b'1'; size]);
        }
        store.reopen().await;
    }
    let engine = &**store.engine();
    let id = DeliveryId::new(event(1, NOON).id, 1);
    let record = AttemptRecord {
        due: days_after(4),
        ..succeeded(id, 1)
    };
    engine.record_attempts(vec![record]).await.unwrap();
    assert_eq!(delivery(engine, id).await.state, DeliveryState::Succeeded);
}

pub async fn a_step_that_is_repeated_begins_nothing_twice(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    let mut ids = Vec::new();
    for number in 1..=6 {
        let time = days_after(u64::try_from(number / 4).unwrap());
        ids.push(ended(&**store.engine(), event(number, time), Next::Exhaust).await);
    }
    let created = replay(1, ReplayMode::Failed);
    let engine = &**store.engine();
    engine.create_replay(created.clone()).await.unwrap();
    let step = next_step(engine, &created, 4).await;
    let first = engine.advance_replay(step.clone()).await.unwrap();
    assert_eq!((first.done, first.after), (4, Some(ids[3].event_id())));
    let begun = delivery(engine, ids[0]).await;

    store.crash().await;
    let engine = &**store.engine();
    assert_eq!(engine.replay(tenant(), created.id).await.unwrap(), first);
    let running = engine.running_replays().await.unwrap();
    assert_eq!(running, std::slice::from_ref(&first));
    // As by somebody who does not know that it was made.
    let void = engine.advance_replay(step.clone()).await.unwrap();
    assert_eq!(void, first);
    assert_eq!(delivery(engine, ids[0]).await, begun);
    // As where the deliveries were written, and not that they were: another
    // replay of the same time has not heard of them.
    let other = replay(2, ReplayMode::Failed);
    let all = run(engine, other, 100).await;
    assert_eq!(all.done, 6);
    assert_eq!(delivery(engine, ids[0]).await, begun);

    let rest = next_step(engine, &first, 100).await;
    let rest = engine.advance_replay(rest).await.unwrap();
    assert_eq!((rest.done, queue(engine).await), (6, ids));
}

pub async fn a_replay_ends_once(store: &mut dyn Fixture) {
    subscribe(&**store.engine(), 1).await;
    let failed = ended(&**store.engine(), event(1, NOON), Next::Exhaust).await;
    let engine = &**store.engine();
    let (one, other) = (replay(1, ReplayMode::Failed), replay(2, ReplayMode::All));
    engine.create_replay(one.clone()).await.unwrap();
    let step = next_step(engine, &one, 10).await;
    let change = |id, change| engine.change_replay(tenant(), id, change, days_after(5));
    let cancelled = change(one.id, ReplayChange::Cancel).await.unwrap();
    assert_eq!(cancelled.state, ReplayState::Cancelled);
    assert_eq!(engine.advance_replay(step).await.unwrap(), cancelled);
    assert_eq!(delivery(engine, failed).await.state, DeliveryState::Failed);
    let again = change(one.id, ReplayChange::Cancel).await;
    assert!(matches!(again, Err(Error::NotChangeable(_))));

    run(engine, other.clone(), 10).await;
    let outcomes = Outcomes {
        succeeded: 1,
        ..Outcomes::default()
    };
    let over = change(other.id, ReplayChange::Count(outcomes))
        .await
        .unwrap();
    assert_eq!(
        (over.state, over.outcomes),
        (ReplayState::Completed, outcomes)
    );
    assert_eq!(engine.running_replays().await.unwrap(), []);
    store.reopen().await;
    let engine = &**store.engine();
    let listed = every_page(1, |page| engine.list_replays(tenant(), page)).await;
    assert_eq!(listed, [over, cancelled]);
    let unknown = ReplayId::new(NOON, 9);
    let found = engine.replay(tenant(), unknown).await;
    assert!(matches!(found, Err(Error::NotFound(Resource::Replay(id))) if id == unknown));
    let foreign = "other".parse().unwrap();
    assert!(engine.replay(&foreign, other.id).await.is_err());
}

pub async fn a_replay_to_a_deleted_subscription_begins_nothing(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let failed = ended(engine, event(1, NOON), Next::Exhaust).await;
    let created = replay(1, ReplayMode::All);
    engine.create_replay(created.clone()).await.unwrap();
    let step = next_step(engine, &created, 10).await;
    let deleted = engine.delete_subscription(tenant(), sub(1), None, days_after(3));
    deleted.await.unwrap();
    let refused = engine.advance_replay(step).await;
    let gone: SubscriptionId = sub(1);
    assert!(matches!(refused, Err(Error::NotFound(Resource::Subscription(id))) if id == gone));
    assert_eq!(delivery(engine, failed).await.state, DeliveryState::Failed);
}

pub async fn a_replay_goes_by_types_and_times(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let mut ids: Vec<EventId> = Vec::new();
    for (number, day) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
        let mut event = event(number, days_after(day));
        if number == 3 {
            event.event_type = "invoice.paid".parse().unwrap();
        }
        ids.push(event.id);
        accept(engine, vec![routed(event, &[])]).await.unwrap();
    }
    let mut wanted = replay(1, ReplayMode::Missing);
    wanted.spec.accepted = TimeRange {
        start: days_after(1),
        end: days_after(2),
    };
    wanted.spec.event_types = vec!["order.*".parse().unwrap()];
    let found = engine.candidates(&wanted, 100).await.unwrap();
    let seen: Vec<_> = found.items.iter().map(|found| found.event_id).collect();
    assert_eq!((seen, found.next), (vec![ids[1], ids[2]], Some(ids[2])));
    assert_eq!(run(engine, wanted, 1).await.done, 1);
    assert_eq!(queue(engine).await, [DeliveryId::new(ids[1], 0)]);
    let cancel = DeliveryChange::Cancel;
    let id = DeliveryId::new(ids[1], 0);
    let cancelled = engine.change_delivery(tenant(), id, cancel, days_after(4));
    assert_eq!(cancelled.await.unwrap().state, DeliveryState::Cancelled);
}
