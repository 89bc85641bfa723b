//! Subscriptions: an endpoint, the event types it wants, and how it wants to be
//! called.

use std::{num::NonZeroU32, time::Duration};

use super::{
    CustomHeaders, EndpointUrl, EventPattern, EventPatterns, FilterExpression, Invalid, Labels,
    LiveKeys, LiveSecrets, RateLimit, RetryPolicy, SignatureScheme, SigningKey, SubscriptionId,
    TenantId, Timestamp, text,
};

const MAX_STATE_MESSAGE: usize = 256;

/// Deadline of one attempt: 1 to 60 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(Duration);

impl Timeout {
    /// Checks the bounds.
    pub fn new(duration: Duration) -> Result<Self, Invalid> {
        if (Duration::from_secs(1)..=Duration::from_mins(1)).contains(&duration) {
            Ok(Self(duration))
        } else {
            Err(Invalid::new("must be 1 to 60 seconds"))
        }
    }

    /// The deadline.
    pub fn as_duration(self) -> Duration {
        self.0
    }
}

/// 15 seconds.
impl Default for Timeout {
    fn default() -> Self {
        Self(Duration::from_secs(15))
    }
}

/// Shape of a delivery's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadFormat {
    /// `{"id":...,"type":...,"createdAt":...,"data":...}`.
    #[default]
    Envelope,
    /// The publisher's bytes alone.
    Raw,
    /// CloudEvents 1.0 in binary mode: the publisher's bytes, the rest in
    /// headers.
    CloudEventsBinary,
    /// CloudEvents 1.0 in structured mode: a JSON object that holds all of it.
    CloudEventsStructured,
}

/// What the owner of a subscription decides.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriptionSpec {
    /// Where deliveries go.
    pub url: EndpointUrl,
    /// Which events are delivered.
    pub events: EventPatterns,
    /// For people.
    pub description: String,
    /// Sent with every delivery.
    pub headers: CustomHeaders,
    /// For the owner.
    pub labels: Labels,
    /// When failed deliveries are tried again.
    pub retry_policy: RetryPolicy,
    /// Deadline of one attempt.
    pub timeout: Timeout,
    /// Attempts that may be under way at once.
    pub max_in_flight: NonZeroU32,
    /// How fast deliveries may follow each other, if that is bounded.
    pub rate_limit: Option<RateLimit>,
    /// Whether events that share an ordering key are delivered in order.
    pub ordered: bool,
    /// Shape of the body.
    pub payload_format: PayloadFormat,
    /// Signatures that are sent; never empty.
    pub signature_schemes: Vec<SignatureScheme>,
    /// Condition that events must meet beyond their type.
    pub filter: Option<FilterExpression>,
}

impl SubscriptionSpec {
    /// Attempts that may be under way at once if the owner does not say.
    pub const DEFAULT_MAX_IN_FLIGHT: NonZeroU32 = NonZeroU32::new(64).expect("64 is not zero");

    /// What a subscription is if its owner names only the URL and the events.
    pub fn new(url: EndpointUrl, events: EventPatterns) -> Self {
        Self {
            url,
            events,
            description: String::new(),
            headers: CustomHeaders::default(),
            labels: Labels::default(),
            retry_policy: RetryPolicy::default(),
            timeout: Timeout::default(),
            max_in_flight: Self::DEFAULT_MAX_IN_FLIGHT,
            rate_limit: None,
            ordered: false,
            payload_format: PayloadFormat::default(),
            signature_schemes: Self::schemes_or_default(Vec::new()),
            filter: None,
        }
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let patterns = self.events.as_slice().iter().map(EventPattern::len);
        let headers = self.headers.as_map().iter();
        let labels = self.labels.as_map().iter();
        let pairs = headers
            .chain(labels)
            .map(|(key, value)| key.len() + value.len());
        let filter = self
            .filter
            .as_ref()
            .map_or(0, |filter| filter.as_str().len());
        let url = self.url.as_str().len();
        let lengths: usize = patterns.chain(pairs).sum();
        size_of::<Self>() + lengths + self.description.len() + filter + url
    }

    /// Checks a description.
    pub fn check_description(description: String) -> Result<String, Invalid> {
        text::at_most(&description, 1_024).map(|()| description)
    }

    /// Checks a bound on attempts under way: the default if zero.
    pub fn check_max_in_flight(n: u32) -> Result<NonZeroU32, Invalid> {
        match NonZeroU32::new(n) {
            None => Ok(Self::DEFAULT_MAX_IN_FLIGHT),
            Some(n) if n.get() <= 1_024 => Ok(n),
            Some(_) => Err(Invalid::new(format!("must be 1 to 1024, is {n}"))),
        }
    }

    /// Sorts schemes and keeps each once; both if there are none.
    pub fn schemes_or_default(mut schemes: Vec<SignatureScheme>) -> Vec<SignatureScheme> {
        if schemes.is_empty() {
            schemes = vec![
                SignatureScheme::StandardWebhooks,
                SignatureScheme::Sha256Body,
            ];
        }
        schemes.sort();
        schemes.dedup();
        schemes
    }
}

/// Whether a subscription receives events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It does.
    Active,
    /// It does not; what was queued waits.
    Disabled,
}

/// By whom or by which rule a state was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateCode {
    /// It was created so.
    Created,
    /// A call asked for it.
    Requested,
    /// The endpoint answered 410.
    Gone,
    /// Nothing but failures for days.
    Failing,
}

/// Why and since when a state holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateReason {
    /// By whom or by which rule.
    pub code: StateCode,
    /// For people.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

impl StateReason {
    /// Checks the length of a message given by a caller.
    pub fn check_message(message: String) -> Result<String, Invalid> {
        text::at_most(&message, MAX_STATE_MESSAGE).map(|()| message)
    }
}

/// Counts the changes of a subscription; the base of its etag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// An endpoint and what it wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What its owner decides.
    pub spec: SubscriptionSpec,
    /// What signs its deliveries.
    pub secrets: LiveSecrets,
    /// What signs them by ED25519; there once that scheme was asked for or a
    /// key was given.
    pub signing_keys: Option<LiveKeys>,
    /// Whether it receives events.
    pub state: State,
    /// Why.
    pub state_reason: StateReason,
    /// Raised by every change.
    pub version: Version,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

impl Subscription {
    /// A new, active subscription.
    pub fn new(
        id: SubscriptionId,
        tenant: TenantId,
        spec: SubscriptionSpec,
        secrets: LiveSecrets,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            tenant,
            spec,
            secrets,
            signing_keys: None,
            state: State::Active,
            state_reason: StateReason {
                code: StateCode::Created,
                message: String::new(),
                since: now,
            },
            version: Version(1),
            create_time: now,
            update_time: now,
        }
    }

    /// Whether events of this type are queued for it.
    pub fn wants(&self, event_type: &super::EventType) -> bool {
        self.state == State::Active && self.spec.events.matches(event_type)
    }

    /// The subscription with what its owner now decides.
    #[must_use]
    pub fn with_spec(&self, spec: SubscriptionSpec, now: Timestamp) -> Self {
        Self {
            spec,
            ..self.changed(now)
        }
    }

    /// The subscription with other secrets.
    #[must_use]
    pub fn with_secrets(&self, secrets: LiveSecrets, now: Timestamp) -> Self {
        Self {
            secrets,
            ..self.changed(now)
        }
    }

    /// The subscription with other signing keys.
    #[must_use]
    pub fn with_signing_keys(&self, keys: LiveKeys, now: Timestamp) -> Self {
        Self {
            signing_keys: Some(keys),
            ..self.changed(now)
        }
    }

    /// The subscription with a key to sign with, if it asks for signatures that
    /// need one and has none. No change of its own.
    #[must_use]
    pub fn or_signing_key(mut self, fresh: impl FnOnce() -> SigningKey) -> Self {
        let needed = self
            .spec
            .signature_schemes
            .contains(&SignatureScheme::Ed25519);
        if needed && self.signing_keys.is_none() {
            self.signing_keys = Some(LiveKeys::new(fresh()));
        }
        self
    }

    /// The subscription in this state; unchanged if it is in it already.
    #[must_use]
    pub fn with_state(
        &self,
        state: State,
        code: StateCode,
        message: String,
        now: Timestamp,
    ) -> Self {
        if self.state == state {
            return self.clone();
        }
        Self {
            state,
            state_reason: StateReason {
                code,
                message,
                since: now,
            },
            ..self.changed(now)
        }
    }

    fn changed(&self, now: Timestamp) -> Self {
        Self {
            version: Version(self.version.0 + 1),
            update_time: now.max(self.update_time),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
