use super::*;
use crate::domain::{
    EventPatterns, LastOutcome, LiveSecrets, Next, Secret, State, StateCode, SubscriptionSpec,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + seconds)
}

fn subscription() -> Subscription {
    let wanted = EventPatterns::new(vec!["order.*".parse().unwrap()]).unwrap();
    let spec = SubscriptionSpec::new("http://localhost/".parse().unwrap(), wanted);
    Subscription::new(
        SubscriptionId::new(at(0), 1),
        TenantId::default(),
        spec,
        LiveSecrets::new(Secret::generate([0; 32])),
        at(0),
    )
}

fn replay(mode: ReplayMode) -> Replay {
    let spec = ReplaySpec {
        subscription_id: subscription().id,
        event_types: Vec::new(),
        accepted: TimeRange::ALL,
        mode,
        rate_limit: ReplaySpec::DEFAULT_RATE,
    };
    Replay::new(
        ReplayId::new(at(100), 1),
        TenantId::default(),
        spec,
        at(100),
    )
}

fn event() -> Event {
    use crate::domain::{Attributes, ContentType, NewEvent, Payload};
    let new = NewEvent {
        event_type: "order.shipped".parse().unwrap(),
        payload: Payload {
            data: "{}".into(),
            content_type: ContentType::default(),
        },
        idempotency_key: None,
        ordering_key: None,
        attributes: Attributes::default(),
        deliver_after: None,
    };
    new.accept(EventId::new(at(1), 1), TenantId::default(), at(1))
}

fn pending() -> Delivery {
    Delivery::new(&event(), 0, subscription().id, Trigger::Event)
}

fn ended(next: Next) -> Delivery {
    let last = LastOutcome {
        error_kind: None,
        response_status: Some(200),
    };
    pending().attempted(last, next, at(2))
}

fn step(mode: ReplayMode, delivery: Option<&Delivery>) -> ReplayStep {
    replay(mode).step(&subscription(), &event().event_type, delivery)
}

#[test]
fn each_mode_begins_its_own_deliveries() {
    use ReplayMode::{All, Failed, Missing};
    use ReplayStep::{Begin, Leave};
    let (failed, succeeded) = (ended(Next::Exhaust), ended(Next::Succeed));
    let cancelled = pending().cancelled(at(2)).unwrap();
    let test = Delivery {
        trigger: Trigger::Test,
        ..failed.clone()
    };
    let cases = [
        (None, [Leave, Begin, Begin]),
        (Some(pending()), [Leave, Leave, Leave]),
        (Some(failed), [Begin, Leave, Begin]),
        (Some(succeeded), [Leave, Leave, Begin]),
        (Some(cancelled), [Leave, Leave, Begin]),
        (Some(test), [Leave, Leave, Leave]),
    ];
    for (delivery, expected) in cases {
        let steps = [Failed, Missing, All].map(|mode| step(mode, delivery.as_ref()));
        assert_eq!(steps, expected, "{delivery:?}");
    }
}

#[test]
fn only_what_is_asked_for_and_wanted_is_begun() {
    let mut replay = replay(ReplayMode::Missing);
    let other = "invoice.paid".parse().unwrap();
    assert_eq!(
        replay.step(&subscription(), &other, None),
        ReplayStep::Leave
    );
    replay.spec.event_types = vec!["invoice.*".parse().unwrap()];
    let wanted = event().event_type;
    assert_eq!(
        replay.step(&subscription(), &wanted, None),
        ReplayStep::Leave
    );
    replay.spec.event_types = vec![wanted.as_str().parse().unwrap()];
    let message = String::new();
    let disabled = subscription().with_state(State::Disabled, StateCode::Requested, message, at(3));
    assert_eq!(replay.step(&disabled, &wanted, None), ReplayStep::Begin);
}

/// Also by a clock that is behind that of the creation.
#[test]
fn what_was_begun_counts_and_is_not_begun_again() {
    let again = replay(ReplayMode::All);
    for now in [at(50), at(100), at(200)] {
        let begun = [
            again.again(&ended(Next::Exhaust), now).unwrap(),
            again.first(&event(), 3, now),
        ];
        for delivery in begun {
            assert_eq!(step(ReplayMode::All, Some(&delivery)), ReplayStep::Count);
            assert_eq!(delivery.due, Some(now.max(at(100))));
        }
    }
    let restarted = again.again(&ended(Next::Exhaust), at(101)).unwrap();
    let missing = step(ReplayMode::Missing, Some(&restarted));
    assert_eq!(missing, ReplayStep::Leave);
    let by_hand = ended(Next::Exhaust).retried(at(101)).unwrap();
    let by_hand = by_hand.cancelled(at(102)).unwrap();
    assert_eq!(step(ReplayMode::All, Some(&by_hand)), ReplayStep::Leave);
}

#[test]
fn a_replay_is_completed_once_all_is_begun_and_settled() {
    let running = replay(ReplayMode::All);
    let settled = Outcomes {
        succeeded: 2,
        failed: 1,
        open: 0,
    };
    assert_eq!(
        running.counted(settled, at(101)).state,
        ReplayState::Running
    );
    let begun = running.advanced(3, Some(event().id), at(101));
    assert_eq!(begun.counted(settled, at(101)).state, ReplayState::Running);
    let begun = begun.advanced(0, None, at(101));
    assert_eq!((begun.done, begun.after), (3, Some(event().id)));
    let open = Outcomes { open: 1, ..settled };
    assert_eq!(begun.counted(open, at(102)).state, ReplayState::Running);
    let over = begun.counted(settled, at(102));
    assert_eq!(over.state, ReplayState::Completed);
    assert_eq!(over.cancelled(at(103)), Err(NotChangeable::ReplayEnded));
    assert!(!begun.cancelled(at(103)).unwrap().is_at(begun.after));
}

#[test]
fn events_accepted_after_its_creation_are_none_of_its() {
    assert_eq!(replay(ReplayMode::All).accepted().end, at(100));
}
