//! A subscription, and what a request id created.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use super::code;
use crate::{
    domain::{
        CustomHeaders, EventPatterns, Labels, LiveSecrets, PayloadFormat, RetryPolicy, Schedule,
        SignatureScheme, StateReason, Subscription, SubscriptionId, SubscriptionSpec, TenantId,
        Timeout, Timestamp, Version,
    },
    storage::bytes::{Malformed, Read, Reader, Writer},
};

const VERSION: u8 = 1;

const ENVELOPE: u8 = 1;
const STANDARD_WEBHOOKS: u8 = 1;
const SHA256_BODY: u8 = 2;
const DELAYS: u8 = 1;
const EXPONENTIAL: u8 = 2;

pub(in crate::storage) fn write_subscription(subscription: &Subscription) -> Vec<u8> {
    let mut row = Writer::new(VERSION);
    let created = subscription.create_time;
    row.number(subscription.version.0)
        .time(created)
        .time_near(created, subscription.update_time)
        .byte(code::from_subscription_state(subscription.state))
        .byte(code::from_state_code(subscription.state_reason.code))
        .text(&subscription.state_reason.message)
        .time_near(created, subscription.state_reason.since);
    write_secrets(&mut row, &subscription.secrets, created);
    write_spec(&mut row, &subscription.spec);
    row.finish()
}

pub(in crate::storage) fn read_subscription(
    tenant: TenantId,
    id: SubscriptionId,
    row: &[u8],
) -> Read<Subscription> {
    let mut row = Reader::new(row, VERSION)?;
    let version = Version(row.long()?);
    let create_time = row.time()?;
    let update_time = row.time_near(create_time)?;
    let state = code::to_subscription_state(row.byte()?)?;
    let state_reason = StateReason {
        code: code::to_state_code(row.byte()?)?,
        message: row.text()?.to_owned(),
        since: row.time_near(create_time)?,
    };
    let secrets = read_secrets(&mut row, create_time)?;
    let spec = read_spec(&mut row)?;
    row.finish()?;
    Ok(Subscription {
        id,
        tenant,
        spec,
        secrets,
        state,
        state_reason,
        version,
        create_time,
        update_time,
    })
}

/// The subscription that a request created then.
pub(in crate::storage) fn write_request(subscription: &Subscription) -> Vec<u8> {
    let mut row = Writer::new(VERSION);
    row.time(subscription.create_time)
        .raw(&subscription.id.to_bytes())
        .bytes(&write_subscription(subscription));
    row.finish()
}

/// When the request was made, and the subscription that it created.
pub(in crate::storage) fn read_request(
    tenant: TenantId,
    row: &[u8],
) -> Read<(Timestamp, Subscription)> {
    let mut row = Reader::new(row, VERSION)?;
    let time = row.time()?;
    let id = SubscriptionId::from_bytes(row.array()?);
    let subscription = read_subscription(tenant, id, row.bytes()?)?;
    row.finish().map(|()| (time, subscription))
}

fn write_secrets(row: &mut Writer, secrets: &LiveSecrets, created: Timestamp) {
    row.text(secrets.newest().expose())
        .number(secrets.older().len() as u64);
    for (secret, expires) in secrets.older() {
        row.text(secret.expose()).time_near(created, *expires);
    }
}

fn read_secrets(row: &mut Reader<'_>, created: Timestamp) -> Read<LiveSecrets> {
    let newest = row.parsed()?;
    let mut older = Vec::new();
    for _ in 0..row.long()? {
        older.push((row.parsed()?, row.time_near(created)?));
    }
    Ok(LiveSecrets::from_parts(newest, older))
}

fn write_spec(row: &mut Writer, spec: &SubscriptionSpec) {
    row.text(spec.url.as_str());
    let patterns = spec.events.as_slice();
    row.number(patterns.len() as u64);
    for pattern in patterns {
        row.text(&pattern.to_string());
    }
    row.text(&spec.description);
    write_map(row, spec.headers.as_map());
    write_map(row, spec.labels.as_map());
    write_policy(row, &spec.retry_policy);
    row.duration(spec.timeout.as_duration())
        .number(spec.max_in_flight.get())
        .byte(match spec.payload_format {
            PayloadFormat::Envelope => ENVELOPE,
        })
        .number(spec.signature_schemes.len() as u64);
    for scheme in &spec.signature_schemes {
        row.byte(match scheme {
            SignatureScheme::StandardWebhooks => STANDARD_WEBHOOKS,
            SignatureScheme::Sha256Body => SHA256_BODY,
        });
    }
}

fn read_spec(row: &mut Reader<'_>) -> Read<SubscriptionSpec> {
    let url = row.parsed()?;
    let mut patterns = Vec::new();
    for _ in 0..row.long()? {
        patterns.push(row.parsed()?);
    }
    Ok(SubscriptionSpec {
        url,
        events: EventPatterns::new(patterns).map_err(|_| Malformed)?,
        description: row.text()?.to_owned(),
        headers: CustomHeaders::new(read_map(row)?).map_err(|_| Malformed)?,
        labels: Labels::new(read_map(row)?).map_err(|_| Malformed)?,
        retry_policy: read_policy(row)?,
        timeout: Timeout::new(row.duration()?).map_err(|_| Malformed)?,
        max_in_flight: NonZeroU32::new(row.number()?).ok_or(Malformed)?,
        payload_format: match row.byte()? {
            ENVELOPE => PayloadFormat::Envelope,
            _ => return Err(Malformed),
        },
        signature_schemes: read_schemes(row)?,
    })
}

fn read_schemes(row: &mut Reader<'_>) -> Read<Vec<SignatureScheme>> {
    let mut schemes = Vec::new();
    for _ in 0..row.long()? {
        schemes.push(match row.byte()? {
            STANDARD_WEBHOOKS => SignatureScheme::StandardWebhooks,
            SHA256_BODY => SignatureScheme::Sha256Body,
            _ => return Err(Malformed),
        });
    }
    Ok(schemes)
}

fn write_policy(row: &mut Writer, policy: &RetryPolicy) {
    match policy.schedule() {
        Schedule::Delays(delays) => {
            row.byte(DELAYS).number(delays.len() as u64);
            for delay in delays {
                row.duration(*delay);
            }
        }
        Schedule::Exponential {
            first,
            factor,
            cap,
            attempts,
        } => {
            row.byte(EXPONENTIAL)
                .duration(*first)
                .raw(&factor.to_be_bytes())
                .duration(*cap)
                .number(*attempts);
        }
    }
    row.raw(&policy.jitter().to_be_bytes())
        .maybe_duration(policy.max_age());
}

fn read_policy(row: &mut Reader<'_>) -> Read<RetryPolicy> {
    let schedule = match row.byte()? {
        DELAYS => {
            let mut delays = Vec::new();
            for _ in 0..row.long()? {
                delays.push(row.duration()?);
            }
            Schedule::Delays(delays)
        }
        EXPONENTIAL => Schedule::Exponential {
            first: row.duration()?,
            factor: f64::from_be_bytes(row.array()?),
            cap: row.duration()?,
            attempts: row.number()?,
        },
        _ => return Err(Malformed),
    };
    let jitter = f64::from_be_bytes(row.array()?);
    let max_age: Option<Duration> = row.maybe_duration()?;
    RetryPolicy::new(schedule, Some(jitter), max_age).map_err(|_| Malformed)
}

fn write_map(row: &mut Writer, map: &BTreeMap<String, String>) {
    row.number(map.len() as u64);
    for (key, value) in map {
        row.text(key).text(value);
    }
}

fn read_map(row: &mut Reader<'_>) -> Read<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for _ in 0..row.long()? {
        let key = row.text()?.to_owned();
        map.insert(key, row.text()?.to_owned());
    }
    Ok(map)
}
