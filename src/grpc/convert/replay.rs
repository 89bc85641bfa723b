//! Replays.

use std::num::NonZeroU32;

use super::{Fields, event::from_range, to_timestamp};
use crate::{
    control::{Error, List},
    domain::{Replay, ReplayMode, ReplaySpec, ReplayState, Timestamp},
    proto::{self, CreateReplayRequest, ListReplaysRequest, WatchReplayResponse},
};

/// Checks a `CreateReplay` request; the other half says whether it is only to
/// be counted.
pub(in crate::grpc) fn from_create(
    request: CreateReplayRequest,
) -> Result<(ReplaySpec, bool), Error> {
    let mut fields = Fields::at("replay.");
    let replay = request.replay.unwrap_or_default();
    let mode = fields.check("mode", from_mode(replay.mode));
    let rate_limit = fields.check("rate_limit", from_rate(replay.rate_limit));
    let filter = replay.filter.unwrap_or_default();
    fields.go_to("replay.filter.");
    let subscription_id = fields.parse("subscription_id", &filter.subscription_id);
    let event_types = fields.parse_each("event_types", &filter.event_types);
    let accepted = from_range(&mut fields, filter.start_time, filter.end_time);
    fields.finish(|| {
        let spec = ReplaySpec {
            subscription_id: subscription_id?,
            event_types,
            accepted: accepted?,
            mode: mode?,
            rate_limit: rate_limit?,
        };
        Some((spec, request.validate_only))
    })
}

/// Checks a `ListReplays` request.
pub(in crate::grpc) fn from_list(request: ListReplaysRequest) -> Result<List, Error> {
    let mut fields = Fields::default();
    let page_size = List::check_size(request.page_size, fields.violations());
    fields.finish(|| {
        Some(List {
            page_size,
            page_token: request.page_token,
        })
    })
}

/// The replay as a message.
pub(in crate::grpc) fn to_replay(replay: &Replay) -> proto::Replay {
    let spec = &replay.spec;
    let filter = proto::ReplayFilter {
        subscription_id: spec.subscription_id.to_string(),
        event_types: spec.event_types.iter().map(ToString::to_string).collect(),
        start_time: (spec.accepted.start != Timestamp::MIN)
            .then(|| to_timestamp(spec.accepted.start)),
        end_time: (spec.accepted.end != Timestamp::MAX).then(|| to_timestamp(spec.accepted.end)),
    };
    proto::Replay {
        id: replay.id.to_string(),
        filter: Some(filter),
        mode: to_mode(spec.mode).into(),
        rate_limit: spec.rate_limit.get(),
        state: to_state(replay.state).into(),
        total: replay.total,
        done: replay.done,
        succeeded: replay.outcomes.succeeded,
        failed: replay.outcomes.failed,
        create_time: Some(to_timestamp(replay.create_time)),
        update_time: Some(to_timestamp(replay.update_time)),
    }
}

/// The answer to a creation. What was only counted is nowhere, and has no id.
pub(in crate::grpc) fn to_created(replay: &Replay, validate_only: bool) -> proto::Replay {
    let created = to_replay(replay);
    if !validate_only {
        return created;
    }
    proto::Replay {
        id: String::new(),
        state: proto::ReplayState::Unspecified.into(),
        create_time: None,
        update_time: None,
        ..created
    }
}

/// The replay as a message of a watch.
pub(in crate::grpc) fn to_watched(replay: &Replay) -> WatchReplayResponse {
    WatchReplayResponse {
        replay: Some(to_replay(replay)),
    }
}

fn from_mode(mode: i32) -> Result<ReplayMode, &'static str> {
    let wrong = "must be REPLAY_MODE_FAILED, REPLAY_MODE_MISSING or REPLAY_MODE_ALL";
    match proto::ReplayMode::try_from(mode).map_err(|_| wrong)? {
        proto::ReplayMode::Unspecified => Err(wrong),
        proto::ReplayMode::Failed => Ok(ReplayMode::Failed),
        proto::ReplayMode::Missing => Ok(ReplayMode::Missing),
        proto::ReplayMode::All => Ok(ReplayMode::All),
    }
}

fn to_mode(mode: ReplayMode) -> proto::ReplayMode {
    match mode {
        ReplayMode::Failed => proto::ReplayMode::Failed,
        ReplayMode::Missing => proto::ReplayMode::Missing,
        ReplayMode::All => proto::ReplayMode::All,
    }
}

fn to_state(state: ReplayState) -> proto::ReplayState {
    match state {
        ReplayState::Running => proto::ReplayState::Running,
        ReplayState::Completed => proto::ReplayState::Completed,
        ReplayState::Cancelled => proto::ReplayState::Cancelled,
    }
}

fn from_rate(rate: u32) -> Result<NonZeroU32, String> {
    if rate > ReplaySpec::MAX_RATE {
        let most = ReplaySpec::MAX_RATE;
        return Err(format!("must be 0 to {most}, is {rate}"));
    }
    Ok(NonZeroU32::new(rate).unwrap_or(ReplaySpec::DEFAULT_RATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_named() {
        let replay = proto::Replay {
            rate_limit: 10_001,
            filter: Some(proto::ReplayFilter {
                event_types: vec!["*".to_owned(), "a..b".to_owned()],
                start_time: Some(to_timestamp(Timestamp::from_secs(2))),
                end_time: Some(to_timestamp(Timestamp::from_secs(1))),
                ..proto::ReplayFilter::default()
            }),
            ..proto::Replay::default()
        };
        let request = CreateReplayRequest {
            replay: Some(replay),
            validate_only: true,
        };
        let Err(Error::Invalid(violations)) = from_create(request) else {
            panic!("it was taken");
        };
        let fields: Vec<_> = violations.iter().map(|wrong| &*wrong.field).collect();
        assert_eq!(
            fields,
            [
                "replay.mode",
                "replay.rate_limit",
                "replay.filter.subscription_id",
                "replay.filter.event_types[1]",
                "replay.filter.end_time",
            ]
        );
    }
}
