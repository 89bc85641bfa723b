//! A replay and how far it has come.

use super::code;
use crate::{
    domain::{
        EventId, Outcomes, Replay, ReplayId, ReplaySpec, SubscriptionId, TenantId, TimeRange,
    },
    storage::bytes::{Malformed, Read, Reader, Writer},
};

const VERSION: u8 = 1;

pub(in crate::storage) fn write_replay(replay: &Replay) -> Vec<u8> {
    let (spec, outcomes) = (&replay.spec, replay.outcomes);
    let mut row = Writer::new(VERSION);
    row.raw(&spec.subscription_id.to_bytes())
        .number(spec.event_types.len() as u64);
    for pattern in &spec.event_types {
        row.text(&pattern.to_string());
    }
    row.time(spec.accepted.start)
        .time(spec.accepted.end)
        .byte(code::from_replay_mode(spec.mode))
        .number(spec.rate_limit.get())
        .byte(code::from_replay_state(replay.state))
        .number(replay.total)
        .number(replay.done)
        .number(outcomes.succeeded)
        .number(outcomes.failed)
        .number(outcomes.open);
    match replay.after {
        None => row.byte(0),
        Some(event) => row.byte(1).raw(&event.to_bytes()),
    };
    row.byte(u8::from(replay.all_begun))
        .time(replay.create_time)
        .time_near(replay.create_time, replay.update_time);
    row.finish()
}

pub(in crate::storage) fn read_replay(tenant: TenantId, id: ReplayId, row: &[u8]) -> Read<Replay> {
    let mut row = Reader::new(row, VERSION)?;
    let subscription_id = SubscriptionId::from_bytes(row.array()?);
    let mut event_types = Vec::new();
    for _ in 0..row.long()? {
        event_types.push(row.parsed()?);
    }
    let spec = ReplaySpec {
        subscription_id,
        event_types,
        accepted: TimeRange {
            start: row.time()?,
            end: row.time()?,
        },
        mode: code::to_replay_mode(row.byte()?)?,
        rate_limit: row.number::<u32>()?.try_into().map_err(|_| Malformed)?,
    };
    let state = code::to_replay_state(row.byte()?)?;
    let (total, done) = (row.long()?, row.long()?);
    let outcomes = Outcomes {
        succeeded: row.long()?,
        failed: row.long()?,
        open: row.long()?,
    };
    let after = if row.flag()? {
        Some(EventId::from_bytes(row.array()?))
    } else {
        None
    };
    let all_begun = row.flag()?;
    let create_time = row.time()?;
    let update_time = row.time_near(create_time)?;
    row.finish()?;
    Ok(Replay {
        id,
        tenant,
        spec,
        state,
        total,
        done,
        outcomes,
        after,
        all_begun,
        create_time,
        update_time,
    })
}
