//! What tenants may use, from the configuration.

use std::collections::BTreeSet;

use crate::{
    config,
    control::QuotaSettings,
    domain::{Quotas, RateLimit},
};

/// The quotas of all tenants. What is not set for one of them is that of all.
pub(super) fn settings(config: &config::Quotas) -> QuotaSettings {
    let default = Quotas {
        events: config.publish_rate,
        payloads: config.publish_size.map(kibibytes),
        subscriptions: config.subscriptions,
        pending: config.pending,
    };
    let named: BTreeSet<_> = config
        .tenant_publish_rate
        .keys()
        .chain(config.tenant_publish_size.keys())
        .chain(config.tenant_subscriptions.keys())
        .chain(config.tenant_pending.keys())
        .collect();
    let tenants = named.into_iter().map(|tenant| {
        let events = config.tenant_publish_rate.get(tenant).copied();
        let size = config.tenant_publish_size.get(tenant).copied();
        let subscriptions = config.tenant_subscriptions.get(tenant).copied();
        let pending = config.tenant_pending.get(tenant).copied();
        let quotas = Quotas {
            events: events.or(default.events),
            payloads: size.map(kibibytes).or(default.payloads),
            subscriptions: subscriptions.or(default.subscriptions),
            pending: pending.or(default.pending),
        };
        (tenant.clone(), quotas)
    });
    QuotaSettings {
        default,
        tenants: tenants.collect(),
    }
}

/// So many bytes a second, counted in KiB.
fn kibibytes(bytes: u64) -> RateLimit {
    let kibibytes = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
    let rate = RateLimit::new(kibibytes.into(), None);
    rate.expect("1 KiB to 64 MiB are 1 to 65,536 of them")
}
