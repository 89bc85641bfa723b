//! Deliveries and attempts as messages.

use super::{to_duration, to_timestamp};
use crate::{
    domain::{Attempt, Delivery, DeliveryState, ErrorKind, Headers, Phases, Trigger},
    proto::{self, AttemptOutcome, AttemptPhases, DeliveryTrigger, Header},
};

/// Each way to fail, here and there.
pub(super) const ERROR_KINDS: [(ErrorKind, proto::ErrorKind); 12] = [
    (ErrorKind::Status, proto::ErrorKind::Status),
    (ErrorKind::Redirect, proto::ErrorKind::Redirect),
    (ErrorKind::Gone, proto::ErrorKind::Gone),
    (ErrorKind::Dns, proto::ErrorKind::Dns),
    (ErrorKind::Connect, proto::ErrorKind::Connect),
    (ErrorKind::Tls, proto::ErrorKind::Tls),
    (ErrorKind::Timeout, proto::ErrorKind::Timeout),
    (ErrorKind::Reset, proto::ErrorKind::Reset),
    (
        ErrorKind::ResponseTooLarge,
        proto::ErrorKind::ResponseTooLarge,
    ),
    (ErrorKind::Protocol, proto::ErrorKind::Protocol),
    (ErrorKind::Request, proto::ErrorKind::Request),
    (ErrorKind::Refused, proto::ErrorKind::Refused),
];

/// The delivery as a message.
pub(in crate::grpc) fn to_delivery(delivery: &Delivery) -> proto::Delivery {
    let last = delivery.last_outcome;
    let last_outcome = last.map_or(AttemptOutcome::Unspecified, |last| {
        to_outcome(last.error_kind)
    });
    let last_error = to_error_kind(last.and_then(|last| last.error_kind));
    proto::Delivery {
        id: delivery.id.to_string(),
        event_id: delivery.id.event_id().to_string(),
        event_type: delivery.event_type.to_string(),
        subscription_id: delivery.subscription_id.to_string(),
        state: to_state(delivery.state).into(),
        attempt_count: delivery.attempt_count,
        next_attempt_time: delivery.due.map(to_timestamp),
        last_outcome: last_outcome.into(),
        last_error_kind: last_error.into(),
        last_response_status: to_status(last.and_then(|last| last.response_status)),
        trigger: to_trigger(delivery.trigger).into(),
        create_time: Some(to_timestamp(delivery.create_time)),
        update_time: Some(to_timestamp(delivery.update_time)),
    }
}

/// The attempt as a message.
pub(in crate::grpc) fn to_attempt(attempt: &Attempt) -> proto::Attempt {
    proto::Attempt {
        id: attempt.id.to_string(),
        delivery_id: attempt.delivery_id.to_string(),
        event_id: attempt.delivery_id.event_id().to_string(),
        event_type: attempt.event_type.to_string(),
        subscription_id: attempt.subscription_id.to_string(),
        number: attempt.number,
        start_time: Some(to_timestamp(attempt.start_time)),
        duration: Some(to_duration(attempt.duration)),
        phases: Some(to_phases(attempt.phases)),
        outcome: to_outcome(attempt.error_kind).into(),
        error_kind: to_error_kind(attempt.error_kind).into(),
        error_message: attempt.error_message.clone(),
        response_status: to_status(attempt.response_status),
        response_headers: to_headers(&attempt.response_headers),
        response_body: attempt.response_body.clone(),
        response_body_truncated: attempt.response_body_truncated,
        peer_address: attempt
            .peer_address
            .map(|peer| peer.to_string())
            .unwrap_or_default(),
        request_headers: to_headers(&attempt.request_headers),
        next_attempt_time: attempt.next_attempt_time.map(to_timestamp),
        trigger: to_trigger(attempt.trigger).into(),
    }
}

fn to_state(state: DeliveryState) -> proto::DeliveryState {
    match state {
        DeliveryState::Pending => proto::DeliveryState::Pending,
        DeliveryState::Delivering => proto::DeliveryState::Delivering,
        DeliveryState::Retrying => proto::DeliveryState::Retrying,
        DeliveryState::Succeeded => proto::DeliveryState::Succeeded,
        DeliveryState::Failed => proto::DeliveryState::Failed,
        DeliveryState::Cancelled => proto::DeliveryState::Cancelled,
    }
}

fn to_trigger(trigger: Trigger) -> DeliveryTrigger {
    match trigger {
        Trigger::Event => DeliveryTrigger::Event,
        Trigger::Manual => DeliveryTrigger::Manual,
        Trigger::Replay => DeliveryTrigger::Replay,
        Trigger::Test => DeliveryTrigger::Test,
    }
}

fn to_outcome(error: Option<ErrorKind>) -> AttemptOutcome {
    match error {
        None => AttemptOutcome::Succeeded,
        Some(_) => AttemptOutcome::Failed,
    }
}

fn to_error_kind(error: Option<ErrorKind>) -> proto::ErrorKind {
    let shown = error.and_then(|error| ERROR_KINDS.iter().find(|(kind, _)| *kind == error));
    shown.map_or(proto::ErrorKind::Unspecified, |(_, shown)| *shown)
}

fn to_status(status: Option<u16>) -> u32 {
    status.map_or(0, u32::from)
}

fn to_headers(headers: &Headers) -> Vec<Header> {
    let header = |(name, value): &(String, String)| Header {
        name: name.clone(),
        value: value.clone(),
    };
    headers.iter().map(header).collect()
}

fn to_phases(phases: Phases) -> AttemptPhases {
    AttemptPhases {
        dns: phases.dns.map(to_duration),
        connect: phases.connect.map(to_duration),
        tls: phases.tls.map(to_duration),
        first_byte: phases.first_byte.map(to_duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_is_shown() {
        for number in 1..=12 {
            let shown = proto::ErrorKind::try_from(number).unwrap();
            assert!(
                ERROR_KINDS.iter().any(|(_, kind)| *kind == shown),
                "{shown:?}"
            );
        }
        assert!(proto::ErrorKind::try_from(13).is_err());
    }
}
