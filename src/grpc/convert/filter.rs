//! Filters of deliveries and attempts.

use super::{Fields, delivery::ERROR_KINDS, event::from_range};
use crate::{
    control::{Error, List},
    domain::{DeliveryFilter, DeliveryState, ErrorKind},
    proto::{self, ListAttemptsRequest, ListDeliveriesRequest},
};

/// Checks a `ListDeliveries` request.
pub(in crate::grpc) fn from_list_deliveries(
    request: ListDeliveriesRequest,
) -> Result<(DeliveryFilter, List), Error> {
    from_list(request.filter, request.page_size, request.page_token, true)
}

/// Checks a `ListAttempts` request.
pub(in crate::grpc) fn from_list_attempts(
    request: ListAttemptsRequest,
) -> Result<(DeliveryFilter, List), Error> {
    from_list(request.filter, request.page_size, request.page_token, false)
}

fn from_list(
    filter: Option<proto::DeliveryFilter>,
    page_size: i32,
    page_token: String,
    states: bool,
) -> Result<(DeliveryFilter, List), Error> {
    let mut fields = Fields::default();
    let page_size = List::check_size(page_size, fields.violations());
    let list = List {
        page_size,
        page_token,
    };
    let filter = from_filter(&mut fields, &filter.unwrap_or_default(), states);
    fields.finish(|| Some((filter?, list)))
}

/// Checks a filter; `states` says whether it may name some.
pub(super) fn from_filter(
    fields: &mut Fields,
    filter: &proto::DeliveryFilter,
    states: bool,
) -> Option<DeliveryFilter> {
    fields.go_to("filter.");
    if !states && !filter.states.is_empty() {
        fields.add("states", "must be empty: attempts have no state");
    }
    let checked = DeliveryFilter {
        subscription_id: fields.parse_optional("subscription_id", &filter.subscription_id),
        event_id: fields.parse_optional("event_id", &filter.event_id),
        delivery_id: fields.parse_optional("delivery_id", &filter.delivery_id),
        event_types: fields.parse_each("event_types", &filter.event_types),
        states: each(
            fields,
            "states",
            &filter.states,
            from_state,
            "a delivery state",
        ),
        status_classes: each(
            fields,
            "status_classes",
            &filter.status_classes,
            |class| {
                u16::try_from(class)
                    .ok()
                    .filter(|class| (1..=5).contains(class))
            },
            "1 to 5, such as 2 for 2xx",
        ),
        error_kinds: each(
            fields,
            "error_kinds",
            &filter.error_kinds,
            from_error_kind,
            "an error kind",
        ),
        accepted: from_range(fields, filter.start_time, filter.end_time)?,
    };
    fields.go_to("");
    Some(checked)
}

fn each<A: Copy, B>(
    fields: &mut Fields,
    name: &str,
    values: &[A],
    convert: impl Fn(A) -> Option<B>,
    expected: &str,
) -> Vec<B> {
    let mut converted = Vec::with_capacity(values.len());
    for (n, value) in values.iter().enumerate() {
        match convert(*value) {
            Some(value) => converted.push(value),
            None => fields.add(
                format_args!("{name}[{n}]"),
                format_args!("must be {expected}"),
            ),
        }
    }
    converted
}

fn from_state(state: i32) -> Option<DeliveryState> {
    match proto::DeliveryState::try_from(state).ok()? {
        proto::DeliveryState::Unspecified => None,
        proto::DeliveryState::Pending => Some(DeliveryState::Pending),
        proto::DeliveryState::Delivering => Some(DeliveryState::Delivering),
        proto::DeliveryState::Retrying => Some(DeliveryState::Retrying),
        proto::DeliveryState::Succeeded => Some(DeliveryState::Succeeded),
        proto::DeliveryState::Failed => Some(DeliveryState::Failed),
        proto::DeliveryState::Cancelled => Some(DeliveryState::Cancelled),
    }
}

fn from_error_kind(kind: i32) -> Option<ErrorKind> {
    let kind = proto::ErrorKind::try_from(kind).ok()?;
    let found = ERROR_KINDS.iter().find(|(_, shown)| *shown == kind);
    found.map(|(kind, _)| *kind)
}
