//! Retry policies.

use std::time::Duration;

use super::{Fields, from_duration, to_duration};
use crate::{
    domain::{RetryPolicy, Schedule},
    proto::{self, ExponentialBackoff, RetryDelays, retry_policy::Schedule as Sent},
};

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
    let schedule = match policy.schedule {
        None => Some(RetryPolicy::default().schedule().clone()),
        Some(Sent::Delays(delays)) => from_delays(fields, delays),
        Some(Sent::Exponential(exponential)) => from_exponential(fields, &exponential),
    };
    let max_age = match policy.max_age {
        None => Some(None),
        Some(age) => fields
            .check("retry_policy.max_age", from_duration(age))
            .map(Some),
    };
    let policy = RetryPolicy::new(schedule?, policy.jitter, max_age?);
    fields.check("retry_policy", policy)
}

fn from_delays(fields: &mut Fields, delays: RetryDelays) -> Option<Schedule> {
    let mut checked = Vec::with_capacity(delays.delays.len());
    for (n, delay) in delays.delays.into_iter().enumerate() {
        let field = format_args!("retry_policy.delays.delays[{n}]");
        checked.push(fields.check(field, from_duration(delay)));
    }
    checked
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(Schedule::Delays)
}

fn from_exponential(fields: &mut Fields, sent: &ExponentialBackoff) -> Option<Schedule> {
    let mut duration = |name: &str, sent: Option<prost_types::Duration>, default| match sent {
        None => Some(default),
        Some(sent) => {
            let field = format_args!("retry_policy.exponential.{name}");
            fields.check(field, from_duration(sent))
        }
    };
    let first = duration("first", sent.first, Duration::ZERO);
    let cap = duration("cap", sent.cap, DEFAULT_CAP);
    let or = |value, default| if value == 0.0 { default } else { value };
    Some(Schedule::Exponential {
        first: first?,
        factor: or(sent.factor, DEFAULT_FACTOR),
        cap: cap?,
        attempts: match sent.attempts {
            0 => DEFAULT_ATTEMPTS,
            attempts => attempts,
        },
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
