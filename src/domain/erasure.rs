//! Erasure: which content goes, and what stays of events and attempts.

use bytes::Bytes;

use super::{Attempt, Attributes, Event, EventId, Payload, SubscriptionId, TimeRange, Timestamp};

/// Whose content is erased, within a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// That of an event.
    Event(EventId),
    /// That of the events which went to this subscription alone. Of an event
    /// that others got, too, only the attempts at this subscription.
    Subscription(SubscriptionId),
    /// That of the events accepted then.
    Accepted(TimeRange),
}

/// How much of an event is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The event and all attempts to deliver it.
    Whole,
    /// The attempts at this subscription.
    Attempts(SubscriptionId),
}

impl Erasure {
    /// How much of an event is erased that went to these subscriptions.
    pub fn reach(self, subscriptions: &[SubscriptionId]) -> Reach {
        match self {
            Self::Subscription(id) if subscriptions.iter().any(|other| *other != id) => {
                Reach::Attempts(id)
            }
            Self::Event(_) | Self::Subscription(_) | Self::Accepted(_) => Reach::Whole,
        }
    }
}

impl Event {
    /// The event without its payload and its attributes. It is sent to nobody
    /// any more, so deliveries that are not settled are to be cancelled.
    #[must_use]
    pub fn erased(self, now: Timestamp) -> Self {
        Self {
            payload: Payload {
                data: Bytes::new(),
                content_type: self.payload.content_type,
            },
            attributes: Attributes::default(),
            erase_time: self.erase_time.or(Some(now)),
            ..self
        }
    }

    /// Whether its payload was erased.
    pub fn is_erased(&self) -> bool {
        self.erase_time.is_some()
    }
}

impl Attempt {
    /// The attempt without anything that was sent or that came back: either may
    /// repeat what the payload said.
    #[must_use]
    pub fn erased(self) -> Self {
        Self {
            error_message: String::new(),
            response_headers: Vec::new(),
            response_body: Bytes::new(),
            request_headers: Vec::new(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_got_too_keeps_its_payload_when_a_subscription_is_erased() {
        let [one, other] = [1, 2].map(|number| SubscriptionId::new(Timestamp::MIN, number));
        let erasure = Erasure::Subscription(one);
        assert_eq!(erasure.reach(&[one]), Reach::Whole);
        assert_eq!(erasure.reach(&[other, one]), Reach::Attempts(one));
        let accepted = Erasure::Accepted(TimeRange::ALL);
        assert_eq!(accepted.reach(&[other, one]), Reach::Whole);
    }
}
