//! Retry policies.

use std::time::Duration;

use super::{Fields, from_duration, to_duration};
use crate::{
    domain::{RetryPolicy, Schedule},
    proto::{self, ExponentialBackoff, RetryDelays, retry_policy::Schedule as Sent},
};

const DELAYS: &str = "retry_policy.delays.delays";
const DEFAULT_FACTOR: f64 = 2.0;
const DEFAULT_CAP: Duration = Duration::from_hours(24);
const DEFAULT_ATTEMPTS: u32 = 15;

/// Checks a retry policy; the default schedule stands for one that is unset.
pub(super) fn from_retry_policy(
    fields: &mut Fields,
    policy: Option<proto::RetryPolicy>,
) -> Option<RetryPolicy> {
    let Some(policy) = policy else {
        return Some(RetryPolicy::default());
    };
    // What is wrong with delays that are each right stands with all of them.
    let (all, schedule) = match policy.schedule {
        None => (
            "retry_policy",
            Some(RetryPolicy::default().schedule().clone()),
        ),
        Some(Sent::Delays(delays)) => (DELAYS, from_delays(fields, delays)),
        Some(Sent::Exponential(exponential)) => (
            "retry_policy.exponential",
            from_exponential(fields, &exponential),
        ),
    };
    let jitter = match policy.jitter {
        None => Some(None),
        Some(jitter) => {
            let jitter = RetryPolicy::check_jitter(jitter);
            fields.check("retry_policy.jitter", jitter).map(Some)
        }
    };
    let max_age = match policy.max_age {
        None => Some(None),
        Some(age) => {
            let age = from_duration(age).and_then(RetryPolicy::check_max_age);
            fields.check("retry_policy.max_age", age).map(Some)
        }
    };
    let policy = RetryPolicy::new(schedule?, jitter?, max_age?);
    fields.check(all, policy)
}

fn from_delays(fields: &mut Fields, delays: RetryDelays) -> Option<Schedule> {
    fields.check(DELAYS, Schedule::check_count(delays.delays.len()))?;
    let mut checked = Vec::with_capacity(delays.delays.len());
    for (n, delay) in delays.delays.into_iter().enumerate() {
        let delay = from_duration(delay).and_then(Schedule::check_delay);
        checked.push(fields.check(format_args!("{DELAYS}[{n}]"), delay));
    }
    checked
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(Schedule::Delays)
}

fn from_exponential(fields: &mut Fields, sent: &ExponentialBackoff) -> Option<Schedule> {
    let first = from_duration(sent.first.unwrap_or_default()).and_then(Schedule::check_first);
    let first = fields.check("retry_policy.exponential.first", first);
    let factor = match sent.factor {
        0.0 => DEFAULT_FACTOR,
        factor => factor,
    };
    let factor = Schedule::check_factor(factor);
    let factor = fields.check("retry_policy.exponential.factor", factor);
    let cap = sent.cap.map_or(Ok(DEFAULT_CAP), from_duration);
    let cap = cap.and_then(|cap| Schedule::check_cap(cap, first.unwrap_or_default()));
    let cap = fields.check("retry_policy.exponential.cap", cap);
    let attempts = match sent.attempts {
        0 => DEFAULT_ATTEMPTS,
        attempts => attempts,
    };
    let attempts = Schedule::check_attempts(attempts);
    let attempts = fields.check("retry_policy.exponential.attempts", attempts);
    Some(Schedule::Exponential {
        first: first?,
        factor: factor?,
        cap: cap?,
        attempts: attempts?,
    })
}

/// The policy as a message.
pub(super) fn to_retry_policy(policy: &RetryPolicy) -> proto::RetryPolicy {
    let schedule = match policy.schedule() {
        Schedule::Delays(delays) => Sent::Delays(RetryDelays {
            delays: delays.iter().copied().map(to_duration).collect(),
        }),
        Schedule::Exponential {
            first,
            factor,
            cap,
            attempts,
        } => Sent::Exponential(ExponentialBackoff {
            first: Some(to_duration(*first)),
            factor: *factor,
            cap: Some(to_duration(*cap)),
            attempts: *attempts,
        }),
    };
    proto::RetryPolicy {
        schedule: Some(schedule),
        jitter: Some(policy.jitter()),
        max_age: policy.max_age().map(to_duration),
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Duration as Length;

    use super::*;
    use crate::control::Error;

    fn seconds(seconds: i64) -> Length {
        Length { seconds, nanos: 0 }
    }

    fn days(days: i64) -> Length {
        seconds(days * 86_400)
    }

    fn delays(delays: Vec<Length>) -> Sent {
        Sent::Delays(RetryDelays { delays })
    }

    fn exponential(first: Length, factor: f64, cap: Length, attempts: u32) -> Sent {
        Sent::Exponential(ExponentialBackoff {
            first: Some(first),
            factor,
            cap: Some(cap),
            attempts,
        })
    }

    /// The fields that are wrong, below `retry_policy`.
    fn wrong(schedule: Sent, jitter: f64, max_age: Option<Length>) -> String {
        let policy = proto::RetryPolicy {
            schedule: Some(schedule),
            jitter: Some(jitter),
            max_age,
        };
        let mut fields = Fields::default();
        let checked = from_retry_policy(&mut fields, Some(policy));
        let Err(Error::Invalid(violations)) = fields.finish(|| checked) else {
            panic!("nothing is wrong");
        };
        let below = |field: &str| field.strip_prefix("retry_policy.").unwrap().to_owned();
        let names: Vec<_> = violations.iter().map(|wrong| below(&wrong.field)).collect();
        names.join(" ")
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let schedule = exponential(seconds(-1), 11.0, days(8), 52);
        assert_eq!(
            wrong(schedule, 1.5, Some(seconds(0))),
            "exponential.first exponential.factor exponential.cap exponential.attempts jitter \
             max_age"
        );
        let schedule = delays(vec![seconds(-1), seconds(1), days(8)]);
        assert_eq!(
            wrong(schedule, f64::NAN, None),
            "delays.delays[0] delays.delays[2] jitter"
        );
    }

    #[test]
    fn what_is_wrong_with_the_delays_together_is_told_of_all() {
        let schedule = exponential(seconds(60), 2.0, seconds(59), 3);
        assert_eq!(wrong(schedule, 0.0, None), "exponential.cap");
        let schedule = exponential(days(7), 1.0, days(7), 6);
        assert_eq!(wrong(schedule, 0.0, None), "exponential");
        let schedule = delays(vec![seconds(1); 51]);
        assert_eq!(wrong(schedule, 0.0, None), "delays.delays");
        let schedule = delays(vec![days(7); 5]);
        assert_eq!(wrong(schedule, 0.0, None), "delays.delays");
    }
}
