//! Events on their way in: what has gathered of a day is written by one
//! statement.
//!
//! Where events have idempotency keys, locks on the keys come first, and then a
//! look at who used them before; so two processes never take the same key for
//! new, not even around midnight.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use deadpool_postgres::GenericClient;

use super::{
    accept_rows::Rows,
    connect::Connection,
    days,
    error::{again, from_pg, malformed},
    group::{Intake, Reply},
    row::to_tenant,
    state::State,
    store::Store,
};
use crate::{
    domain::{DeliveryId, TenantId, Timestamp},
    storage::{
        AcceptEvents, Accepted, Error, Hint, Ingest, Result,
        day::Day,
        idempotency::{self, Keyed, forgotten_before},
        row::IdempotencyRow,
    },
};

/// Writers, each with a group of its own.
pub(super) const WRITERS: usize = 2;
/// Most events of a group.
pub(super) const GROUP: usize = 128;

/// How long a call waits for a database that cannot be reached: where that lets
/// connections hang, the groups before it may each wait for one in turn.
const PATIENCE: Duration = Duration::from_millis(800);

/// The class of the advisory locks on idempotency keys.
const LOCK: i32 = 0x7072_6403;

/// A call that waits to be written.
pub(super) struct Accepting {
    call: AcceptEvents,
    day: Day,
    /// What is to be stored under the events' keys.
    keys: Vec<Option<(Key, IdempotencyRow)>>,
    reply: Reply<Vec<Accepted>>,
}

/// An idempotency key and whose it is.
type Key = (TenantId, String);

/// Who used keys before.
type Used = HashMap<Key, IdempotencyRow>;

#[async_trait]
impl Ingest for Store {
    /// Refuses a call whose events are of different days by their ids, and one
    /// with an event of more deliveries than an id can number.
    async fn accept_events(&self, call: AcceptEvents) -> Result<Vec<Accepted>> {
        let Some(first) = call.events.first() else {
            return Ok(Vec::new());
        };
        let day = Day::of_event(first.event.id);
        for routed in &call.events {
            if Day::of_event(routed.event.id) != day {
                return Err(refused("events of one call must have ids of one day"));
            }
            if routed.subscriptions.len() > DeliveryId::MAX_PER_EVENT {
                return Err(refused("an event has too many deliveries"));
            }
        }
        let keys = call.events.iter().map(|routed| {
            let event = &routed.event;
            let row = |name: &String| {
                let row = IdempotencyRow::of(event, routed.subscriptions.len());
                ((event.tenant.clone(), name.clone()), row)
            };
            event.idempotency_key.as_ref().map(row)
        });
        let keys = keys.collect();
        let accepting = |reply| Accepting {
            call,
            day,
            keys,
            reply,
        };
        tokio::select! {
            accepted = self.hand(|intakes| intakes.accepting, accepting) => accepted,
            () = self.state.out_of_reach(PATIENCE) => Err(Error::Unavailable(
                "the database did not answer in time".into(),
            )),
        }
    }
}

/// Writes groups until nobody can hand in any more.
pub(super) async fn write(state: Arc<State>, intake: Arc<Intake<Accepting>>) {
    while let Some(group) = intake.gather(|call| call.call.events.len()).await {
        let mut days = BTreeMap::<Day, Vec<Accepting>>::new();
        for call in group {
            days.entry(call.day).or_default().push(call);
        }
        for (day, mut calls) in days {
            // Calls that are refused leave the others to be written anew.
            while !calls.is_empty() {
                calls = match write_day(&state, day, calls).await {
                    Outcome::Written => break,
                    Outcome::Refused(rest) => rest,
                };
            }
        }
    }
}

/// What came of a group.
enum Outcome {
    /// All calls are answered.
    Written,
    /// Nothing is written. Calls were refused and answered; these were not.
    Refused(Vec<Accepting>),
}

async fn write_day(state: &State, day: Day, calls: Vec<Accepting>) -> Outcome {
    match try_write(state, day, &calls).await {
        Ok(Tried::Written(answers)) => {
            state.note_written();
            announce(state, &calls, &answers);
            for (call, answer) in calls.into_iter().zip(answers) {
                let _ = call.reply.send(answer);
            }
            Outcome::Written
        }
        Ok(Tried::Stale(versions)) => {
            let is_stale = |call: &Accepting| {
                let version = call.call.routed_at.map(|version| version.0);
                version
                    .is_some_and(|version| versions.contains(&(call.call.tenant.clone(), version)))
            };
            let (refused, rest): (Vec<_>, Vec<_>) = calls.into_iter().partition(is_stale);
            for call in refused {
                let _ = call.reply.send(Err(Error::StaleSubscriptions));
            }
            Outcome::Refused(rest)
        }
        Err(error) => {
            state.note(&error);
            for call in calls {
                let _ = call.reply.send(Err(again(&error)));
            }
            Outcome::Written
        }
    }
}

/// What the database said of a group.
enum Tried {
    /// It is written, but for the calls that are refused.
    Written(Vec<Result<Vec<Accepted>>>),
    /// Nothing is, because of these versions of tenants.
    Stale(Vec<(TenantId, u64)>),
}

async fn try_write(state: &State, day: Day, calls: &[Accepting]) -> Result<Tried> {
    let mut client = state.own_connection().await?;
    state.days.ensure(&mut client, day).await?;
    if calls
        .iter()
        .all(|call| call.keys.iter().all(Option::is_none))
    {
        let answers = answer(calls, &Used::new());
        let rows = Rows::of(calls_with(calls, &answers));
        let outdated = rows.insert(&client, day).await?;
        return Ok(tried(outdated, answers));
    }
    keyed(&mut client, day, calls).await
}

async fn keyed(client: &mut Connection, day: Day, calls: &[Accepting]) -> Result<Tried> {
    let transaction = client.transaction().await.map_err(from_pg)?;
    let keys = calls.iter().flat_map(|call| call.keys.iter().flatten());
    let keys: Vec<&Key> = keys.map(|(key, _)| key).collect();
    let used = used_before(&transaction, day, &keys).await?;
    let answers = answer(calls, &used);
    let rows = Rows::of(calls_with(calls, &answers));
    let stale = rows.insert(&transaction, day).await?;
    transaction.commit().await.map_err(from_pg)?;
    Ok(tried(stale, answers))
}

fn tried(stale: Vec<(TenantId, u64)>, answers: Vec<Result<Vec<Accepted>>>) -> Tried {
    if stale.is_empty() {
        Tried::Written(answers)
    } else {
        Tried::Stale(stale)
    }
}

/// Locks keys until the transaction ends, and finds who used them.
async fn used_before(
    transaction: &deadpool_postgres::Transaction<'_>,
    day: Day,
    keys: &[&Key],
) -> Result<Used> {
    let tenants: Vec<&str> = keys.iter().map(|(tenant, _)| tenant.as_str()).collect();
    let names: Vec<&[u8]> = keys.iter().map(|(_, name)| name.as_bytes()).collect();
    // All take their locks in the same order, so nobody waits in a circle.
    let lock = transaction
        .prepare_cached(
            "SELECT count(pg_advisory_xact_lock($1, lock)) FROM (
                 SELECT DISTINCT hashtext(tenant || encode(name, 'escape')) AS lock
                 FROM unnest($2::text[], $3::bytea[]) AS k (tenant, name)
                 ORDER BY lock
             ) AS locks",
        )
        .await
        .map_err(from_pg)?;
    transaction
        .execute(&lock, &[&LOCK, &tenants, &names])
        .await
        .map_err(from_pg)?;
    // The statement after the locks sees what those who held them wrote.
    let find = transaction
        .prepare_cached(
            "SELECT i.tenant, i.name, i.content
             FROM unnest($1::text[], $2::bytea[]) AS k (tenant, name)
             JOIN idempotency i ON i.tenant = k.tenant AND i.name = k.name AND i.event >= $3
             ORDER BY i.event",
        )
        .await
        .map_err(from_pg)?;
    let since = days::first_id(forgotten_before(day.start()));
    let rows = transaction
        .query(&find, &[&tenants, &names, &since])
        .await
        .map_err(from_pg)?;
    let mut used = Used::new();
    for row in rows {
        let name = String::from_utf8(row.get("name"))
            .map_err(|_| Error::Corrupt("idempotency row".to_owned()))?;
        let key = (to_tenant(row.get("tenant"))?, name);
        let row = IdempotencyRow::read(row.get("content")).map_err(malformed("idempotency"))?;
        used.insert(key, row);
    }
    Ok(used)
}

/// The answers to the calls, in order: a later call sees what an earlier one is
/// about to write.
fn answer(calls: &[Accepting], before: &Used) -> Vec<Result<Vec<Accepted>>> {
    let mut used = before.clone();
    let mut answers = Vec::with_capacity(calls.len());
    for call in calls {
        let events = call
            .call
            .events
            .iter()
            .zip(&call.keys)
            .map(|(routed, key)| Keyed {
                event_id: routed.event.id,
                delivery_count: count(routed.subscriptions.len()),
                key: key.as_ref().map(|(key, row)| (key, row)),
            });
        let remembered = |key: &Key, since: Timestamp| {
            let row = used.get(key).copied();
            Ok(row.filter(|row| row.first.time() >= since))
        };
        let answer = idempotency::answers(events, remembered);
        if answer.is_ok() {
            let keys = call.keys.iter().flatten().cloned();
            for (key, row) in keys {
                let since = forgotten_before(row.first.time());
                let known = used.entry(key).or_insert(row);
                if known.first.time() < since {
                    *known = row;
                }
            }
        }
        answers.push(answer);
    }
    answers
}

/// The calls that are not refused, with the number of each and its answer.
fn calls_with<'a>(
    calls: &'a [Accepting],
    answers: &'a [Result<Vec<Accepted>>],
) -> impl Iterator<Item = Writing<'a>> {
    let calls = calls.iter().zip(answers);
    calls.filter_map(|(call, answer)| {
        Some(Writing {
            call: &call.call,
            keys: &call.keys,
            answers: answer.as_ref().ok()?,
        })
    })
}

/// A call whose new events are to be written.
pub(super) struct Writing<'a> {
    pub(super) call: &'a AcceptEvents,
    pub(super) keys: &'a [Option<(Key, IdempotencyRow)>],
    pub(super) answers: &'a [Accepted],
}

/// Tells the scheduler of what is its own, and the others of the rest.
fn announce(state: &State, calls: &[Accepting], answers: &[Result<Vec<Accepted>>]) {
    let mut hint = Hint::default();
    let mut foreign = false;
    for writing in calls_with(calls, answers) {
        for (routed, answer) in writing.call.events.iter().zip(writing.answers) {
            if answer.duplicate {
                continue;
            }
            let all = routed.event.id.deliveries(&routed.subscriptions);
            let (own, others): (Vec<_>, Vec<_>) =
                all.partition(|(_, subscription)| state.ownership.owns(*subscription));
            foreign |= !others.is_empty();
            if !own.is_empty() {
                hint.add(Arc::clone(&routed.event), own, routed.trigger);
            }
        }
    }
    if !hint.accepted.is_empty() {
        state.announce(hint);
    }
    if foreign {
        state.nudge.tell();
    }
}

fn count(subscriptions: usize) -> u32 {
    u32::try_from(subscriptions).unwrap_or(u32::MAX)
}

fn refused(why: &'static str) -> Error {
    Error::Engine(why.into())
}
