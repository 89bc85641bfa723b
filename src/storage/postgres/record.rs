//! Results of attempts: what has gathered of a day is written by one fenced
//! statement. Those that come too late to decide are left to a transaction of
//! their own: where an erasure made them late, they are written without content.
//!
//! The statement holds the row of this member, so that nobody removes it
//! meanwhile; a member that was removed writes nothing. While the database
//! cannot be reached results wait, since what was sent must not be sent again
//! for want of a place to note it. A try that may have been written already
//! looks for the attempts first.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::{
    connect::Connection,
    days::name,
    erase,
    error::{again, from_pg, is_no_table},
    group::{Intake, Reply},
    record_rows::Rows,
    state::State,
    stats::ON_CONFLICT,
};
use crate::storage::{AttemptRecord, Error, Result, day::Day};

/// Writers, each with a group of its own.
pub(super) const WRITERS: i16 = 2;
/// Most attempts of a group; below 1,024, since positions number them within a
/// transaction.
pub(super) const GROUP: usize = 256;

/// Pause before the database is tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// A call that waits to be written.
pub(super) struct Recording {
    pub(super) records: Vec<AttemptRecord>,
    pub(super) reply: Reply<()>,
}

/// Writes groups until nobody can hand in any more. The number tells this writer
/// from the others.
pub(super) async fn write(state: Arc<State>, intake: Arc<Intake<Recording>>, writer: i16) {
    while let Some(group) = intake.gather(|call| call.records.len()).await {
        let (own, foreign): (Vec<_>, Vec<_>) = group.into_iter().partition(|call| {
            let mut records = call.records.iter();
            records.all(|record| state.ownership.holds(record.attempt.subscription_id))
        });
        for call in foreign {
            end(&state, &call.records);
            let _ = call.reply.send(Err(Error::LeaseLost));
        }
        let outcome = write_group(&state, &own, writer).await;
        for call in own {
            end(&state, &call.records);
            let _ = call.reply.send(match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(again(error)),
            });
        }
        state.nudge.look();
    }
}

fn end(state: &State, records: &[AttemptRecord]) {
    let deliveries = records.iter().map(|record| record.attempt.delivery_id);
    state.ownership.end(deliveries);
}

async fn write_group(state: &State, calls: &[Recording], writer: i16) -> Result<()> {
    let member = state.ownership.member();
    let records = calls.iter().flat_map(|call| &call.records);
    for (day, records) in statements(records) {
        let rows = Rows::of(&records, state.clock.now(), writer);
        let mut repeated = false;
        loop {
            match write_rows(state, day, member, &rows, repeated).await {
                Err(error @ (Error::Unavailable(_) | Error::Full))
                    if !state.closing.is_cancelled() =>
                {
                    state.note(&error);
                    repeated = true;
                    tokio::select! {
                        () = state.closing.cancelled() => {}
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
                done => {
                    done?;
                    break;
                }
            }
        }
    }
    state.note_reached();
    Ok(())
}

/// The records of each statement, in order: of one day, and each delivery only
/// once.
fn statements<'a>(
    records: impl Iterator<Item = &'a AttemptRecord>,
) -> Vec<(Day, Vec<&'a AttemptRecord>)> {
    let mut rounds: Vec<BTreeMap<Day, Vec<&AttemptRecord>>> = vec![BTreeMap::new()];
    let mut seen = HashSet::new();
    for record in records {
        let id = record.attempt.delivery_id;
        if !seen.insert(id) {
            seen.clear();
            seen.insert(id);
            rounds.push(BTreeMap::new());
        }
        if let Some(round) = rounds.last_mut() {
            round.entry(Day::of_delivery(id)).or_default().push(record);
        }
    }
    let largest = usize::from(u8::MAX) + 1;
    let days = rounds.into_iter().flatten();
    let pieces = days.flat_map(|(day, records)| {
        let pieces = records.chunks(largest).map(<[_]>::to_vec);
        pieces.map(|piece| (day, piece)).collect::<Vec<_>>()
    });
    pieces.collect()
}

async fn write_rows(
    state: &State,
    day: Day,
    member: Uuid,
    rows: &Rows,
    repeated: bool,
) -> Result<()> {
    let mut client = state.own_connection().await?;
    if !state.days.contains(day) && !state.days.refresh(&client).await?.contains(&day) {
        tracing::info!(%day, "attempts of a removed day dropped");
        return Ok(());
    }
    let mut written = put(&client, day, member, rows, repeated, false).await;
    if let Ok(Written { held: true, left }) = &written
        && !left.is_empty()
    {
        let rows = rows.only(left);
        written = write_late(&mut client, day, member, rows, repeated).await;
    }
    match written {
        Ok(Written { held: true, .. }) => Ok(()),
        Ok(_) => Err(Error::LeaseLost),
        Err(error) if is_no_table(&error) => {
            state.days.forget(day);
            tracing::info!(%day, "attempts of a removed day dropped");
            Ok(())
        }
        Err(error) => Err(from_pg(error)),
    }
}

/// Writes results that may not decide; what belongs to an erased event without
/// content.
async fn write_late(
    client: &mut Connection,
    day: Day,
    member: Uuid,
    mut rows: Rows,
    repeated: bool,
) -> Result<Written, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let erased = erase::erased_of(&transaction, day, rows.deliveries()).await?;
    rows.erase(&erased);
    let written = put(&transaction, day, member, &rows, repeated, true).await?;
    transaction.commit().await?;
    Ok(written)
}

/// What came of a statement.
struct Written {
    /// Whether this member may write.
    held: bool,
    /// Which results were not written, counted from 1.
    left: Vec<i64>,
}

async fn put(
    client: &impl GenericClient,
    day: Day,
    member: Uuid,
    rows: &Rows,
    repeated: bool,
    late: bool,
) -> Result<Written, tokio_postgres::Error> {
    let statement = client.prepare_cached(&statement(day)).await?;
    let params = rows.params(&member, &repeated, &late);
    let row = client.query_one(&statement, &params).await?;
    Ok(Written {
        held: row.get("held"),
        left: row.get("left"),
    })
}

/// Says in SQL what `Delivery::attempted` and `Delivery::attempted_late` say:
/// an attempt whose revision is no longer the delivery's is counted and does
/// not decide. Such ones are left unless late ones are wanted.
fn statement(day: Day) -> String {
    let [delivery, attempt, stats] = ["delivery", "attempt", "stats"].map(|table| name(table, day));
    let number = day.number();
    format!(
        "WITH held AS MATERIALIZED (
             SELECT id FROM member WHERE id = $1 FOR KEY SHARE
         ), r AS MATERIALIZED (
             SELECT * FROM unnest($3::uuid[], $4::integer[], $5::bigint[], $6::smallint[],
                 $7::bigint[], $8::smallint[], $9::integer[], $10::bigint[], $11::uuid[],
                 $12::bytea[], $15::bigint[], $16::smallint[], $17::smallint[]) WITH ORDINALITY
                 AS r (delivery, revision, was, state, due, error, status, now, id, content,
                     start, took, lasted, n)
         ), moved AS (
             UPDATE {delivery} d SET
                 attempt_count = d.attempt_count + 1,
                 revision = d.revision + 1,
                 chain_start = d.chain_start
                     + CASE WHEN d.revision = r.revision THEN 0 ELSE 1 END,
                 state = CASE WHEN d.revision = r.revision THEN r.state ELSE d.state END,
                 due = CASE WHEN d.revision = r.revision THEN r.due ELSE d.due END,
                 error_kind = r.error,
                 response_status = r.status,
                 update_time = greatest(d.update_time, r.now)
             FROM r, held
             WHERE d.id = r.delivery AND (d.revision = r.revision OR $18) AND NOT ($2 AND EXISTS (
                 SELECT FROM {attempt} a WHERE a.delivery = r.delivery AND a.id = r.id))
             RETURNING d.id AS delivery, d.subscription, d.due, d.revision - 1 = r.revision AS decides,
                 d.tenant, d.event_type, r.was, r.id, r.content, r.start, r.took, r.lasted, r.n
         ), gone AS (
             DELETE FROM ready q USING moved m
             WHERE m.decides AND m.due IS DISTINCT FROM m.was
                 AND q.subscription = m.subscription AND q.due = m.was AND q.delivery = m.delivery
         ), back AS (
             INSERT INTO ready (subscription, due, delivery)
             SELECT m.subscription, m.due, m.delivery FROM moved m
             WHERE m.decides AND m.due <> m.was
         ), logged AS (
             INSERT INTO {attempt} (position, delivery, id, recorded, next_attempt_time, content)
             SELECT (SELECT base FROM log) + (pg_current_xact_id()::text::bigint << 10) + m.n,
                 m.delivery, m.id, $13, m.due, m.content
             FROM moved m
         ), counted AS (
             INSERT INTO {stats} AS s
                 (day, tenant, subscription, start, event_type, slot, writer, count)
             SELECT {number}, m.tenant, m.subscription, m.start, m.event_type, v.slot, $14, count(*)
             FROM moved m CROSS JOIN LATERAL (VALUES (m.took), (m.lasted)) AS v (slot)
             WHERE v.slot IS NOT NULL
             GROUP BY m.tenant, m.subscription, m.start, m.event_type, v.slot
             ORDER BY m.tenant, m.subscription, m.start, m.event_type, v.slot
             {ON_CONFLICT}
         )
         SELECT EXISTS (SELECT FROM held) AS held,
             ARRAY(SELECT r.n FROM r WHERE r.n NOT IN (SELECT m.n FROM moved m)) AS left"
    )
}
