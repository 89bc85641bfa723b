//! When a subscription that only fails is given up.

use std::time::Duration;

use super::{Counts, StatsGroup, StatsKey, StatsQuery, Subscription, TimeRange, Timestamp, floor};

/// How long nothing but failures disables a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisableAfter(Duration);

impl DisableAfter {
    /// `None`, which is never, if the duration is zero.
    pub fn new(duration: Duration) -> Option<Self> {
        (!duration.is_zero()).then_some(Self(duration))
    }

    /// How long a look is as good as another one.
    pub fn pause(self) -> Duration {
        self.0 / 120
    }

    /// What has to be known of a subscription's attempts: those since it was last
    /// changed, be it enabled or sent elsewhere, and of the last days twice as
    /// many as it may fail.
    pub fn history(self, subscription: &Subscription, now: Timestamp) -> StatsQuery {
        let changed = floor(subscription.update_time, StatsKey::SPAN).after(StatsKey::SPAN);
        let earliest = floor(now.before(self.0 * 2 + StatsKey::SPAN), StatsKey::SPAN);
        StatsQuery {
            subscription_id: Some(subscription.id),
            event_type: None,
            started: TimeRange {
                start: changed.max(earliest),
                end: Timestamp::MAX,
            },
            by_subscription: false,
            by_event_type: false,
            by_span: Some(StatsKey::SPAN),
        }
    }

    /// Since when there were nothing but failures, if that is too long. One failure
    /// at the beginning and one now are enough, and silence is none.
    pub fn failing_since(
        self,
        history: &[(StatsGroup, Counts)],
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut since = None;
        for (group, counts) in history {
            if counts.succeeded() > 0 {
                since = None;
            } else if since.is_none() {
                // It may have failed at the end of the span only.
                since = group.start.map(|start| start.after(StatsKey::SPAN));
            }
        }
        since.filter(|since| now.since(*since) >= self.0)
    }
}

/// 5 days.
impl Default for DisableAfter {
    fn default() -> Self {
        Self(Duration::from_hours(5 * 24))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_705_312_800);
    const FAILED: u16 = 256;

    fn hours(hours: u64) -> Timestamp {
        NOON.after(Duration::from_hours(hours))
    }

    /// What was counted so many hours after noon: of success or of failure.
    fn history(spans: &[(u64, bool)]) -> Vec<(StatsGroup, Counts)> {
        let spans = spans.iter().map(|(after, succeeded)| {
            let group = StatsGroup {
                start: Some(hours(*after)),
                subscription_id: None,
                event_type: None,
            };
            let mut counts = Counts::default();
            counts.add(FAILED, 3);
            counts.add(0, i64::from(*succeeded));
            (group, counts)
        });
        spans.collect()
    }

    fn failing_since(spans: &[(u64, bool)], now: u64) -> Option<Timestamp> {
        DisableAfter::default().failing_since(&history(spans), hours(now))
    }

    #[test]
    fn nothing_but_failures_for_five_days_is_too_long() {
        let since = Some(NOON.after(StatsKey::SPAN));
        assert_eq!(failing_since(&[(0, false), (121, false)], 121), since);
        assert_eq!(failing_since(&[(0, false), (119, false)], 120), None);
        assert_eq!(failing_since(&[], 500), None);
    }

    #[test]
    fn a_success_begins_it_anew() {
        assert_eq!(
            failing_since(&[(0, false), (1, true), (121, false)], 121),
            None
        );
        let since = Some(hours(2).after(StatsKey::SPAN));
        let again = [(0, false), (1, true), (2, false), (125, false)];
        assert_eq!(failing_since(&again, 125), since);
        assert_eq!(failing_since(&[(0, true)], 500), None);
    }

    #[test]
    fn only_what_was_attempted_since_the_last_change_counts() {
        let subscription = |changed| Subscription {
            update_time: changed,
            ..subscription()
        };
        let history = |changed| {
            let query = DisableAfter::default().history(&subscription(changed), hours(400));
            query.started.start
        };
        assert_eq!(history(NOON), hours(400 - 240).before(StatsKey::SPAN));
        assert_eq!(history(hours(390)), hours(390).after(StatsKey::SPAN));
        assert_eq!(DisableAfter::new(Duration::ZERO), None);
    }

    #[test]
    fn a_short_time_is_seen_in_what_is_known() {
        let second = Duration::from_secs(1);
        let after = DisableAfter::new(second).unwrap();
        let query = after.history(&subscription(), hours(400));
        // Counts of a span tell of nothing before its end.
        assert!(query.started.start <= hours(400).before(StatsKey::SPAN + second));
    }

    fn subscription() -> Subscription {
        use crate::domain::{EventPatterns, LiveSecrets, Secret, SubscriptionId, SubscriptionSpec};
        let events = EventPatterns::new(vec!["*".parse().unwrap()]).unwrap();
        Subscription::new(
            SubscriptionId::new(NOON, 1),
            crate::domain::TenantId::default(),
            SubscriptionSpec::new("https://client.example/".parse().unwrap(), events),
            LiveSecrets::new(Secret::generate([7; 32])),
            NOON,
        )
    }

    proptest! {
        #[test]
        fn no_success_within_the_time_is_ever_forgotten(
            spans in proptest::collection::btree_map(0..400_u64, proptest::bool::ANY, 0..40),
            now in 0..500_u64,
        ) {
            let spans: Vec<_> = spans.into_iter().filter(|(at, _)| *at <= now).collect();
            let last_success = spans.iter().rev().find(|(_, succeeded)| *succeeded);
            if let Some(since) = failing_since(&spans, now) {
                prop_assert!(hours(now).since(since) >= Duration::from_hours(120));
                prop_assert!(last_success.is_none_or(|(at, _)| hours(*at) < since));
            }
        }
    }
}
