//! A change of some of what a subscription's owner decides.

use std::num::NonZeroU32;

use crate::domain::{
    CustomHeaders, EndpointUrl, EventPatterns, FilterExpression, Labels, PayloadFormat, RateLimit,
    RetryPolicy, SignatureScheme, SubscriptionSpec, Timeout,
};

/// New values; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpecPatch {
    /// Where deliveries go.
    pub url: Option<EndpointUrl>,
    /// Which events are delivered.
    pub events: Option<EventPatterns>,
    /// For people.
    pub description: Option<String>,
    /// Sent with every delivery.
    pub headers: Option<CustomHeaders>,
    /// For the owner.
    pub labels: Option<Labels>,
    /// When failed deliveries are tried again.
    pub retry_policy: Option<RetryPolicy>,
    /// Deadline of one attempt.
    pub timeout: Option<Timeout>,
    /// Attempts that may be under way at once.
    pub max_in_flight: Option<NonZeroU32>,
    /// How fast deliveries may follow each other; `Some(None)` takes the bound
    /// away.
    pub rate_limit: Option<Option<RateLimit>>,
    /// Whether events that share an ordering key are delivered in order.
    pub ordered: Option<bool>,
    /// Shape of the body.
    pub payload_format: Option<PayloadFormat>,
    /// Signatures that are sent.
    pub signature_schemes: Option<Vec<SignatureScheme>>,
    /// Condition that events must meet; `Some(None)` takes it away.
    pub filter: Option<Option<FilterExpression>>,
}

impl SpecPatch {
    /// The specification with the new values.
    pub fn apply(self, to: SubscriptionSpec) -> SubscriptionSpec {
        SubscriptionSpec {
            url: self.url.unwrap_or(to.url),
            events: self.events.unwrap_or(to.events),
            description: self.description.unwrap_or(to.description),
            headers: self.headers.unwrap_or(to.headers),
            labels: self.labels.unwrap_or(to.labels),
            retry_policy: self.retry_policy.unwrap_or(to.retry_policy),
            timeout: self.timeout.unwrap_or(to.timeout),
            max_in_flight: self.max_in_flight.unwrap_or(to.max_in_flight),
            rate_limit: self.rate_limit.unwrap_or(to.rate_limit),
            ordered: self.ordered.unwrap_or(to.ordered),
            payload_format: self.payload_format.unwrap_or(to.payload_format),
            signature_schemes: self.signature_schemes.unwrap_or(to.signature_schemes),
            filter: self.filter.unwrap_or(to.filter),
        }
    }
}
