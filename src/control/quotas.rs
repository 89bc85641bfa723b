//! What tenants may use. Rates are held by this process, for what it takes in;
//! how much is pending is counted in the store now and then.

use std::{collections::BTreeMap, collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Control, Error, Result};
use crate::{
    domain::{NewEvent, Pace, Quota, Quotas, RateLimit, TenantId, Timestamp},
    storage::Engine,
};

/// How old a count of what is pending may be.
const FRESH: Duration = Duration::from_secs(5);
/// A count is used for so many times as long as it took, at least: a tenant with
/// a long queue is not counted all the time.
const REST: u32 = 20;
/// When to come again where nobody knows when there is room.
const LATER: Duration = Duration::from_mins(1);
/// Most tenants whose use is kept. One more drops those whose rates are as if
/// they had never published.
const MAX_TENANTS: usize = 10_000;

/// What tenants may use, as configured.
#[derive(Debug, Clone, Default)]
pub struct QuotaSettings {
    /// What every other tenant may.
    pub default: Quotas,
    /// What these may.
    pub tenants: BTreeMap<TenantId, Quotas>,
}

/// Holds tenants to what they may use.
pub(super) struct Meter {
    settings: QuotaSettings,
    /// Time that nobody sets back.
    begin: Instant,
    used: Mutex<HashMap<TenantId, Used>>,
}

/// What a tenant uses.
struct Used {
    events: Pace,
    payloads: Pace,
    /// What was pending, and until when that is good.
    pending: u64,
    count_after: Instant,
}

impl QuotaSettings {
    fn of(&self, tenant: &TenantId) -> &Quotas {
        self.tenants.get(tenant).unwrap_or(&self.default)
    }
}

impl Meter {
    pub(super) fn new(settings: QuotaSettings) -> Self {
        Self {
            settings,
            begin: Instant::now(),
            used: Mutex::default(),
        }
    }

    /// How many subscriptions a tenant may have.
    pub(super) fn subscriptions(&self, tenant: &TenantId) -> Option<u32> {
        self.settings.of(tenant).subscriptions
    }

    /// Books events that a tenant publishes together, all or none. What is larger
    /// than the rate allows at once is taken where nothing is booked ahead, and
    /// waited for afterwards.
    pub(super) async fn book(
        &self,
        store: &dyn Engine,
        tenant: &TenantId,
        events: &[NewEvent],
    ) -> Result<()> {
        let quotas = *self.settings.of(tenant);
        if let Some(most) = quotas.pending {
            self.check_pending(store, tenant, most).await?;
        }
        let (events, kibibytes) = (count(events.len()), kibibytes(events));
        let rates = [
            (
                quotas.events,
                events,
                Quota::Events as fn(RateLimit) -> Quota,
            ),
            (quotas.payloads, kibibytes, Quota::Payloads),
        ];
        if rates.iter().all(|(limit, ..)| limit.is_none()) {
            return Ok(());
        }
        let now = Timestamp::MIN.after(self.begin.elapsed());
        let mut used = self.used.lock();
        let used = entry(&mut used, tenant, now);
        let paces = [&mut used.events, &mut used.payloads];
        for ((limit, _, quota), pace) in rates.iter().zip(&paces) {
            let Some(limit) = limit else { continue };
            let wait = pace.next_start(*limit).since(now);
            if !wait.is_zero() {
                return Err(exceeded(tenant, quota(*limit), wait));
            }
        }
        for ((limit, count, _), pace) in rates.iter().zip(paces) {
            if let Some(limit) = limit {
                pace.book(*limit, *count, now);
            }
        }
        Ok(())
    }

    async fn check_pending(&self, store: &dyn Engine, tenant: &TenantId, most: u64) -> Result<()> {
        let began = Instant::now();
        let now = Timestamp::MIN.after(self.begin.elapsed());
        let known = {
            let mut used = self.used.lock();
            let used = entry(&mut used, tenant, now);
            if began < used.count_after {
                Some((used.pending, used.count_after - began))
            } else {
                // One counts, and the others go on by the count before.
                used.count_after = began + FRESH;
                None
            }
        };
        let (pending, wait) = if let Some(known) = known {
            known
        } else {
            let pending = store.pending(tenant, most).await?;
            let rest = FRESH.max(began.elapsed() * REST);
            let mut used = self.used.lock();
            let used = entry(&mut used, tenant, now);
            used.pending = pending;
            used.count_after = Instant::now() + rest;
            (pending, rest)
        };
        if pending >= most {
            return Err(exceeded(tenant, Quota::Pending(most), wait));
        }
        Ok(())
    }
}

impl Control {
    /// That a tenant has as many subscriptions as it may.
    pub(super) fn too_many_subscriptions(&self, tenant: &TenantId) -> Error {
        let most = self.meter.subscriptions(tenant).unwrap_or_default();
        exceeded(tenant, Quota::Subscriptions(most), LATER)
    }
}

fn entry<'a>(
    used: &'a mut HashMap<TenantId, Used>,
    tenant: &TenantId,
    now: Timestamp,
) -> &'a mut Used {
    if used.len() >= MAX_TENANTS && !used.contains_key(tenant) {
        used.retain(|_, used| !used.events.is_over(now) || !used.payloads.is_over(now));
    }
    used.entry(tenant.clone()).or_insert_with(|| Used {
        events: Pace::fresh(),
        payloads: Pace::fresh(),
        pending: 0,
        count_after: Instant::now(),
    })
}

fn exceeded(tenant: &TenantId, quota: Quota, retry_after: Duration) -> Error {
    Error::QuotaExceeded {
        tenant: tenant.clone(),
        quota,
        retry_after,
    }
}

/// Whole KiB, rounded up over all of them together.
fn kibibytes(events: &[NewEvent]) -> u32 {
    let bytes: usize = events.iter().map(|event| event.payload.data.len()).sum();
    count(bytes.div_ceil(1024))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
