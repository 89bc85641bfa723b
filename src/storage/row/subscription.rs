//! A subscription, with its secrets and its headers sealed, and what a request
//! id created.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use zeroize::Zeroizing;

use super::code;
use crate::{
    domain::{
        CustomHeaders, EndpointUrl, EventPatterns, FilterExpression, Keyring, Labels, LiveKeys,
        LiveSecrets, NotOpened, RateLimit, RetryPolicy, Schedule, SealId, SignatureScheme,
        SigningKey, StateReason, Subscription, SubscriptionId, SubscriptionSpec, TenantId, Timeout,
        Timestamp, Version,
    },
    storage::{
        Error,
        bytes::{Malformed, Read, Reader, Writer},
    },
};

/// The least first byte of a row that goes on with the id of the key that sealed
/// it. This one has its headers as they are.
pub(in crate::storage) const SEALED_LAYOUT: u8 = 3;

/// Without rate limit, order, filter and signing keys.
const FIRST: u8 = 1;
/// With secrets as they are.
const PLAIN: u8 = 2;
const VERSION: u8 = 4;
const REQUEST: u8 = 1;

const DELAYS: u8 = 1;
const EXPONENTIAL: u8 = 2;

/// Why a subscription cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) enum Unreadable {
    Malformed,
    /// This key, which sealed the secrets, is unknown.
    Sealed(SealId),
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<NotOpened> for Unreadable {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::UnknownKey(key) => Self::Sealed(key),
            NotOpened::Changed => Self::Malformed,
        }
    }
}

impl Unreadable {
    /// What a caller is told; `malformed` says of what.
    pub(in crate::storage) fn into_error(self, malformed: impl FnOnce() -> Error) -> Error {
        match self {
            Self::Malformed => malformed(),
            Self::Sealed(key) => Error::Sealed(key),
        }
    }
}

pub(in crate::storage) fn write_subscription(
    subscription: &Subscription,
    keyring: &Keyring,
) -> Vec<u8> {
    let mut row = Writer::new(VERSION);
    row.raw(&keyring.sealing().to_bytes());
    let created = subscription.create_time;
    row.number(subscription.version.0)
        .time(created)
        .time_near(created, subscription.update_time)
        .byte(code::from_subscription_state(subscription.state))
        .byte(code::from_state_code(subscription.state_reason.code))
        .text(&subscription.state_reason.message)
        .time_near(created, subscription.state_reason.since);
    write_spec(&mut row, &subscription.spec);
    let mut secrets = Writer::default();
    write_secrets(&mut secrets, &subscription.secrets, created);
    write_keys(&mut secrets, subscription.signing_keys.as_ref(), created);
    write_map(&mut secrets, subscription.spec.headers.as_map());
    let secrets = Zeroizing::new(secrets.finish());
    let place = place(&subscription.tenant, subscription.id, subscription.version);
    row.bytes(&keyring.seal(&secrets, &place));
    row.finish()
}

/// What sealed secrets belong to: those of another subscription, or of another
/// version of this one, do not open.
fn place(tenant: &TenantId, id: SubscriptionId, version: Version) -> Vec<u8> {
    let mut place = Writer::default();
    place
        .text(tenant.as_str())
        .raw(&id.to_bytes())
        .number(version.0);
    place.finish()
}

pub(in crate::storage) fn read_subscription(
    tenant: TenantId,
    id: SubscriptionId,
    row: &[u8],
    keyring: &Keyring,
) -> Result<Subscription, Unreadable> {
    let (layout, mut row) = Reader::any_of(row, &[FIRST, PLAIN, SEALED_LAYOUT, VERSION])?;
    let key = match layout {
        SEALED_LAYOUT | VERSION => Some(SealId::from_bytes(row.array()?)),
        _ => None,
    };
    let version = Version(row.long()?);
    let create_time = row.time()?;
    let update_time = row.time_near(create_time)?;
    let state = code::to_subscription_state(row.byte()?)?;
    let state_reason = StateReason {
        code: code::to_state_code(row.byte()?)?,
        message: row.text()?.to_owned(),
        since: row.time_near(create_time)?,
    };
    let (spec, secrets, signing_keys) = if let Some(key) = key {
        let mut spec = read_spec(&mut row, layout)?;
        read_later_spec(&mut row, &mut spec)?;
        let opened = keyring.open(key, row.bytes()?, &place(&tenant, id, version))?;
        let mut kept = Reader::bare(&opened);
        let secrets = read_secrets(&mut kept, create_time)?;
        let keys = read_keys(&mut kept, create_time)?;
        if layout == VERSION {
            spec.headers = read_headers(&mut kept)?;
        }
        kept.finish()?;
        (spec, secrets, keys)
    } else {
        let secrets = read_secrets(&mut row, create_time)?;
        let mut spec = read_spec(&mut row, layout)?;
        let mut keys = None;
        if layout > FIRST {
            read_later_spec(&mut row, &mut spec)?;
            keys = read_keys(&mut row, create_time)?;
        }
        (spec, secrets, keys)
    };
    row.finish()?;
    Ok(Subscription {
        id,
        tenant,
        spec,
        secrets,
        signing_keys,
        state,
        state_reason,
        version,
        create_time,
        update_time,
    })
}

/// The subscription that a request created then.
pub(in crate::storage) fn write_request(subscription: &Subscription, keyring: &Keyring) -> Vec<u8> {
    let mut row = Writer::new(REQUEST);
    row.time(subscription.create_time)
        .raw(&subscription.id.to_bytes())
        .bytes(&write_subscription(subscription, keyring));
    row.finish()
}

/// When the request was made, and the subscription that it created.
pub(in crate::storage) fn read_request(
    tenant: TenantId,
    row: &[u8],
    keyring: &Keyring,
) -> Result<(Timestamp, Subscription), Unreadable> {
    let mut row = Reader::new(row, REQUEST)?;
    let time = row.time()?;
    let id = SubscriptionId::from_bytes(row.array()?);
    let subscription = read_subscription(tenant, id, row.bytes()?, keyring)?;
    row.finish()?;
    Ok((time, subscription))
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

/// How many, then the newest, then the older ones with their ends.
fn write_keys(row: &mut Writer, keys: Option<&LiveKeys>, created: Timestamp) {
    let Some(keys) = keys else {
        row.byte(0);
        return;
    };
    row.number(1 + keys.older().len() as u64)
        .raw(keys.newest().expose());
    for (key, expires) in keys.older() {
        row.raw(key.expose()).time_near(created, *expires);
    }
}

fn read_keys(row: &mut Reader<'_>, created: Timestamp) -> Read<Option<LiveKeys>> {
    let Some(older) = row.long()?.checked_sub(1) else {
        return Ok(None);
    };
    let newest = SigningKey::from_private(row.array()?);
    let mut keys = Vec::new();
    for _ in 0..older {
        let key = SigningKey::from_private(row.array()?);
        keys.push((key, row.time_near(created)?));
    }
    Ok(Some(LiveKeys::from_parts(newest, keys)))
}

fn write_spec(row: &mut Writer, spec: &SubscriptionSpec) {
    row.text(spec.url.as_str());
    let patterns = spec.events.as_slice();
    row.number(patterns.len() as u64);
    for pattern in patterns {
        row.text(&pattern.to_string());
    }
    row.text(&spec.description);
    write_map(row, spec.labels.as_map());
    write_policy(row, &spec.retry_policy);
    row.duration(spec.timeout.as_duration())
        .number(spec.max_in_flight.get())
        .byte(code::from_payload_format(spec.payload_format))
        .number(spec.signature_schemes.len() as u64);
    for scheme in &spec.signature_schemes {
        row.byte(code::from_scheme(*scheme));
    }
    row.flag(spec.rate_limit.is_some());
    if let Some(limit) = spec.rate_limit {
        row.raw(&limit.per_second().to_be_bytes())
            .number(limit.burst().get());
    }
    row.flag(spec.ordered)
        .maybe_text(spec.filter.as_ref().map(FilterExpression::as_str));
}

fn read_spec(row: &mut Reader<'_>, layout: u8) -> Read<SubscriptionSpec> {
    let url = EndpointUrl::from_canonical(row.text()?).ok_or(Malformed)?;
    let mut patterns = Vec::new();
    for _ in 0..row.long()? {
        patterns.push(row.parsed()?);
    }
    Ok(SubscriptionSpec {
        url,
        events: EventPatterns::new(patterns).map_err(|_| Malformed)?,
        description: row.text()?.to_owned(),
        headers: match layout {
            VERSION => CustomHeaders::default(),
            _ => read_headers(row)?,
        },
        labels: Labels::new(read_map(row)?).map_err(|_| Malformed)?,
        retry_policy: read_policy(row)?,
        timeout: Timeout::new(row.duration()?).map_err(|_| Malformed)?,
        max_in_flight: NonZeroU32::new(row.number()?).ok_or(Malformed)?,
        rate_limit: None,
        ordered: false,
        payload_format: code::to_payload_format(row.byte()?)?,
        signature_schemes: read_schemes(row)?,
        filter: None,
    })
}

fn read_headers(row: &mut Reader<'_>) -> Read<CustomHeaders> {
    CustomHeaders::new(read_map(row)?).map_err(|_| Malformed)
}

/// What the first version did not have.
fn read_later_spec(row: &mut Reader<'_>, spec: &mut SubscriptionSpec) -> Read<()> {
    if row.flag()? {
        let per_second = f64::from_be_bytes(row.array()?);
        let burst = NonZeroU32::new(row.number()?);
        spec.rate_limit = Some(RateLimit::new(per_second, burst).map_err(|_| Malformed)?);
    }
    spec.ordered = row.flag()?;
    if row.flag()? {
        spec.filter = Some(row.parsed()?);
    }
    Ok(())
}

fn read_schemes(row: &mut Reader<'_>) -> Read<Vec<SignatureScheme>> {
    let mut schemes = Vec::new();
    for _ in 0..row.long()? {
        schemes.push(code::to_scheme(row.byte()?)?);
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
