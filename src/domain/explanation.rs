//! Why an event went, or did not go, to a subscription.
//!
//! What is stored of the routing is the deliveries it made. Where there is none
//! the subscription is judged as it is now, and `changed_since` warns of it.

use super::{Delivery, Event, State, StateCode, Subscription, SubscriptionId};

/// What became of an event for one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// What became of the event, and why.
    pub verdict: Verdict,
    /// Whether the subscription was changed after the event was accepted.
    pub changed_since: bool,
}

/// What became of an event for a subscription, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is or was delivered; the delivery tells how far that came.
    Queued(Box<Delivery>),
    /// The subscription was created after the event was accepted.
    CreatedLater,
    /// None of the subscription's patterns matches the type.
    TypeNotWanted,
    /// The filter did not match, because it had no answer where a reason is
    /// given.
    Filtered(Option<String>),
    /// The subscription was disabled then.
    Disabled,
    /// Nothing stands against it now: the subscription was changed since, or the
    /// event was a test of another.
    WantedNow,
}

impl Explanation {
    /// Explains with the subscription's delivery, if the event has one, and with
    /// what its filter says.
    pub fn new(
        event: &Event,
        subscription: &Subscription,
        delivery: Option<Delivery>,
        filter: impl FnOnce() -> Result<bool, String>,
    ) -> Self {
        Self {
            subscription_id: subscription.id,
            verdict: match delivery {
                Some(delivery) => Verdict::Queued(Box::new(delivery)),
                None => Verdict::without_delivery(event, subscription, filter),
            },
            changed_since: subscription.update_time > event.create_time,
        }
    }
}

impl Verdict {
    fn without_delivery(
        event: &Event,
        subscription: &Subscription,
        filter: impl FnOnce() -> Result<bool, String>,
    ) -> Self {
        if subscription.create_time > event.create_time {
            return Self::CreatedLater;
        }
        if !subscription.spec.events.matches(&event.event_type) {
            return Self::TypeNotWanted;
        }
        match filter() {
            Ok(true) if was_disabled(subscription, event) => Self::Disabled,
            Ok(true) => Self::WantedNow,
            Ok(false) => Self::Filtered(None),
            Err(error) => Self::Filtered(Some(error)),
        }
    }
}

/// Whether the subscription was disabled when the event was accepted, as far as
/// its last change of state tells.
fn was_disabled(subscription: &Subscription, event: &Event) -> bool {
    let reason = &subscription.state_reason;
    let changed_later = reason.since > event.create_time;
    match subscription.state {
        State::Disabled => !changed_later,
        State::Active => changed_later && reason.code != StateCode::Created,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::domain::{
        Attributes, ContentType, EventId, EventPatterns, LiveSecrets, NewEvent, Payload, Secret,
        SubscriptionSpec, TenantId, Timestamp, Trigger,
    };

    const CREATED: Timestamp = Timestamp::from_secs(10);

    fn event(event_type: &str, at: u64) -> Event {
        let now = Timestamp::from_secs(at);
        let event = NewEvent {
            event_type: event_type.parse().unwrap(),
            payload: Payload {
                data: Bytes::from_static(b"{}"),
                content_type: ContentType::default(),
            },
            idempotency_key: None,
            ordering_key: None,
            attributes: Attributes::default(),
            deliver_after: None,
        };
        event.accept(EventId::new(now, 0), TenantId::default(), now)
    }

    fn subscription() -> Subscription {
        let events = EventPatterns::new(vec!["order.*".parse().unwrap()]).unwrap();
        let spec = SubscriptionSpec::new("https://client.example/".parse().unwrap(), events);
        let secrets = LiveSecrets::new(Secret::generate([0; 32]));
        let id = SubscriptionId::new(CREATED, 0);
        Subscription::new(id, TenantId::default(), spec, secrets, CREATED)
    }

    fn verdict(event: &Event, of: &Subscription, filter: Result<bool, String>) -> Verdict {
        Explanation::new(event, of, None, || filter).verdict
    }

    #[test]
    fn what_kept_an_event_away_is_told() {
        let active = subscription();
        let told = |event: &Event| verdict(event, &active, Ok(true));
        assert_eq!(told(&event("order.paid", 9)), Verdict::CreatedLater);
        assert_eq!(told(&event("user.created", 11)), Verdict::TypeNotWanted);
        assert_eq!(told(&event("order.paid", 11)), Verdict::WantedNow);
        let paid = event("order.paid", 11);
        let filtered = |said| verdict(&paid, &active, said);
        assert_eq!(filtered(Ok(false)), Verdict::Filtered(None));
        let error = "there is no \"total\"".to_owned();
        assert_eq!(filtered(Err(error.clone())), Verdict::Filtered(Some(error)));
    }

    #[test]
    fn a_subscription_that_was_disabled_then_is_told_apart() {
        let change = |of: &Subscription, state, at| {
            let at = Timestamp::from_secs(at);
            of.with_state(state, StateCode::Requested, String::new(), at)
        };
        let disabled = change(&subscription(), State::Disabled, 20);
        let enabled = change(&disabled, State::Active, 30);
        let told = |of, at| verdict(&event("order.paid", at), of, Ok(true));
        assert_eq!(told(&disabled, 15), Verdict::WantedNow);
        assert_eq!(told(&disabled, 25), Verdict::Disabled);
        assert_eq!(told(&enabled, 25), Verdict::Disabled);
        assert_eq!(told(&enabled, 35), Verdict::WantedNow);
        let explained = |at| {
            let event = event("order.paid", at);
            Explanation::new(&event, &enabled, None, || Ok(true)).changed_since
        };
        assert_eq!((explained(25), explained(35)), (true, false));
    }

    #[test]
    fn a_delivery_explains_itself_and_no_filter_is_asked() {
        let (event, subscription) = (event("order.paid", 9), subscription());
        let delivery = Delivery::new(&event, 0, subscription.id, Trigger::Event);
        let asked = || panic!("the filter was asked");
        let explained = Explanation::new(&event, &subscription, Some(delivery.clone()), asked);
        assert_eq!(explained.verdict, Verdict::Queued(Box::new(delivery)));
    }
}
