//! Explanations as messages.

use super::{Fields, delivery::to_delivery};
use crate::{
    control::{Error, List, Listed},
    domain::{DeliveryState, EventId, Explanation, Verdict},
    proto::{self, ExplainEventRequest, ExplainEventResponse, ExplanationVerdict},
};

/// Checks an `ExplainEvent` request.
pub(in crate::grpc) fn from_explain(
    request: ExplainEventRequest,
) -> Result<(EventId, List), Error> {
    let mut fields = Fields::default();
    let id = fields.parse("id", &request.id);
    let page_size = List::check_size(request.page_size, fields.violations());
    fields.finish(|| {
        let list = List {
            page_size,
            page_token: request.page_token,
        };
        Some((id?, list))
    })
}

/// A page of explanations.
pub(in crate::grpc) fn to_explained(listed: &Listed<Explanation>) -> ExplainEventResponse {
    ExplainEventResponse {
        explanations: listed.items.iter().map(to_explanation).collect(),
        next_page_token: listed.next_page_token.clone(),
    }
}

fn to_explanation(explanation: &Explanation) -> proto::Explanation {
    let mut message = proto::Explanation {
        subscription_id: explanation.subscription_id.to_string(),
        verdict: to_verdict(&explanation.verdict).into(),
        changed_since: explanation.changed_since,
        ..Default::default()
    };
    match &explanation.verdict {
        Verdict::Queued(delivery) => message.delivery = Some(to_delivery(delivery)),
        Verdict::Filtered(Some(error)) => message.filter_error.clone_from(error),
        Verdict::CreatedLater
        | Verdict::TypeNotWanted
        | Verdict::Filtered(None)
        | Verdict::Disabled
        | Verdict::WantedNow => {}
    }
    message
}

fn to_verdict(verdict: &Verdict) -> ExplanationVerdict {
    match verdict {
        Verdict::Queued(delivery) => match delivery.state {
            DeliveryState::Pending | DeliveryState::Delivering | DeliveryState::Retrying => {
                ExplanationVerdict::Pending
            }
            DeliveryState::Succeeded => ExplanationVerdict::Delivered,
            DeliveryState::Failed => ExplanationVerdict::Failed,
            DeliveryState::Cancelled => ExplanationVerdict::Cancelled,
        },
        Verdict::CreatedLater => ExplanationVerdict::CreatedLater,
        Verdict::TypeNotWanted => ExplanationVerdict::TypeNotWanted,
        Verdict::Filtered(_) => ExplanationVerdict::Filtered,
        Verdict::Disabled => ExplanationVerdict::Disabled,
        Verdict::WantedNow => ExplanationVerdict::WantedNow,
    }
}
