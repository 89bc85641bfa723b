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
        states: fields.check_each("states", &filter.states, |state| from_state(*state)),
        status_classes: fields.check_each("status_classes", &filter.status_classes, |class| {
            from_status_class(*class)
        }),
        error_kinds: fields.check_each("error_kinds", &filter.error_kinds, |kind| {
            from_error_kind(*kind)
        }),
        accepted: from_range(fields, filter.start_time, filter.end_time)?,
    };
    fields.go_to("");
    Some(checked)
}

fn from_state(state: i32) -> Result<DeliveryState, &'static str> {
    let wrong = "must be a delivery state";
    match proto::DeliveryState::try_from(state).map_err(|_| wrong)? {
        proto::DeliveryState::Unspecified => Err(wrong),
        proto::DeliveryState::Pending => Ok(DeliveryState::Pending),
        proto::DeliveryState::Delivering => Ok(DeliveryState::Delivering),
        proto::DeliveryState::Retrying => Ok(DeliveryState::Retrying),
        proto::DeliveryState::Succeeded => Ok(DeliveryState::Succeeded),
        proto::DeliveryState::Failed => Ok(DeliveryState::Failed),
        proto::DeliveryState::Cancelled => Ok(DeliveryState::Cancelled),
    }
}

fn from_status_class(class: u32) -> Result<u16, &'static str> {
    match u16::try_from(class) {
        Ok(class @ 1..=5) => Ok(class),
        _ => Err("must be 1 to 5, such as 2 for 2xx"),
    }
}

fn from_error_kind(kind: i32) -> Result<ErrorKind, &'static str> {
    let shown = proto::ErrorKind::try_from(kind).ok();
    let found = ERROR_KINDS.iter().find(|(_, known)| shown == Some(*known));
    found.map(|(kind, _)| *kind).ok_or("must be an error kind")
}
