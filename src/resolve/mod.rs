//! From a URL to the addresses that may be dialled: asks nameservers, and lets
//! the guard judge the whole answer. The only place that resolves names, and
//! nobody dials what did not come from here.

mod settings;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::op::ResponseCode,
};
use url::Url;

pub use self::settings::Settings;
use crate::domain::{Guard, Name, Refused, Target};

/// Answers are believed for as long as they say, within these bounds.
const MAX_TTL: Duration = Duration::from_mins(5);
/// Answers that are kept.
const CACHED: u64 = 8_192;
/// Longest wait for an answer, each of the three times that a question is asked:
/// less in all than the deadline of most attempts, so that silence is told as
/// what it is, and that a name goes on whose other kind of address is never told.
const PATIENCE: Duration = Duration::from_secs(2);
const REPEATS: usize = 2;
/// Queries under way at once on one connection to a nameserver.
const MAX_QUERIES: usize = 4_096;

/// Resolves and judges. Cheap to clone; clones share what was answered.
#[derive(Debug, Clone)]
pub struct Resolver {
    guard: Arc<Guard>,
    dns: TokioResolver,
}

/// Why a URL has no addresses to dial.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It may not be called.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The name exists and has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// The name does not exist.
    #[error("{0} does not exist")]
    NoName(String),
    /// It is not known what the name leads to.
    #[error("{host} could not be resolved: {cause}")]
    Failed {
        /// The name.
        host: String,
        /// What went wrong.
        cause: String,
    },
}

/// The resolver could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the resolver could not be built: {0}")]
pub struct BuildError(String);

impl Resolver {
    /// A resolver that lets through what this guard does.
    pub fn new(guard: Guard, settings: &Settings) -> Result<Self, BuildError> {
        let (config, mut options) = if settings.nameservers.is_empty() {
            settings::of_system()
        } else {
            (settings.config(), ResolverOpts::default())
        };
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = options.timeout.min(PATIENCE);
        options.attempts = options.attempts.min(REPEATS);
        options.cache_size = CACHED;
        options.max_active_requests = MAX_QUERIES;
        options.positive_min_ttl = Some(settings.min_ttl);
        options.negative_min_ttl = Some(settings.min_ttl);
        options.positive_max_ttl = Some(MAX_TTL);
        options.negative_max_ttl = Some(MAX_TTL);
        let dns = build(config, options).map_err(|error| BuildError(error.to_string()))?;
        Ok(Self {
            guard: Arc::new(guard),
            dns,
        })
    }

    /// What judges.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The addresses that a URL leads to, at least one, all of them judged and
    /// in their canonical form.
    pub async fn resolve(&self, url: &Url) -> Result<Vec<SocketAddr>, Error> {
        match self.guard.judge_url(url)? {
            Target::Address(address) => Ok(vec![address]),
            Target::Name(name) => self.look_up(&name).await,
        }
    }

    async fn look_up(&self, name: &Name) -> Result<Vec<SocketAddr>, Error> {
        // A public name is looked up as it is; others may be completed by the
        // domains that the system searches.
        let question = if name.is_internal {
            name.host.clone()
        } else {
            format!("{}.", name.host)
        };
        let answer = self.dns.lookup_ip(question).await;
        let answer = answer.map_err(|error| failed(&name.host, &error))?;
        let addresses = self.guard.judge_answer(name, answer.iter())?;
        if addresses.is_empty() {
            return Err(Error::NoAddress(name.host.clone()));
        }
        Ok(addresses)
    }
}

fn build(config: ResolverConfig, options: ResolverOpts) -> Result<TokioResolver, NetError> {
    let provider = TokioRuntimeProvider::default();
    TokioResolver::builder_with_config(config, provider)
        .with_options(options)
        .build()
}

fn failed(host: &str, error: &NetError) -> Error {
    let host = host.to_owned();
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Error::NoName(host),
            ResponseCode::NoError => Error::NoAddress(host),
            code => Error::Failed {
                host,
                cause: code.to_string(),
            },
        },
        error => Error::Failed {
            host,
            cause: error.to_string(),
        },
    }
}
