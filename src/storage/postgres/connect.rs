//! Where the database is, and connections to it.

use std::{fmt, str::FromStr, time::Duration};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use rustls_platform_verifier::ConfigVerifierExt;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::from_pg;
use crate::storage::{Error, Result};

/// Name of the schema that holds everything.
pub(super) const SCHEMA: &str = "postrider";

/// How long a connection is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(900);

/// Settings of every session. Plans are made once and use the indexes whatever
/// the statistics say: the due index is empty at one moment and long at the
/// next.
const SESSION: &str = "-c search_path=postrider -c synchronous_commit=on -c jit=off \
     -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off \
     -c enable_mergejoin=off -c statement_timeout=30s -c lock_timeout=10s \
     -c idle_in_transaction_session_timeout=30s -c timezone=UTC";

/// Where a database is: a URL of libpq, such as
/// `postgres://user:password@host:5432/database`. Never shows its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(tokio_postgres::Config);

/// A URL that names no database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL such as postgres://user:password@host:5432/database: {0}")]
pub struct BadUrl(String);

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(BadUrl("it begins otherwise".to_owned()));
        }
        let config = text.parse::<tokio_postgres::Config>();
        // The parser's own message may repeat what it was given.
        let config = config.map_err(|_| BadUrl("it cannot be read".to_owned()))?;
        if config.get_hosts().is_empty() {
            return Err(BadUrl("it names no host".to_owned()));
        }
        if config.get_options().is_some() {
            return Err(BadUrl("it must not set options".to_owned()));
        }
        Ok(Self(config))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Host, port and database.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.get_ports().first().copied().unwrap_or(5432);
        let database = self.0.get_dbname().or(self.0.get_user()).unwrap_or("");
        match self.0.get_hosts().first() {
            Some(Host::Tcp(host)) => write!(f, "postgres://{host}:{port}/{database}"),
            Some(Host::Unix(path)) => {
                write!(f, "postgres://{}:{port}/{database}", path.display())
            }
            None => write!(f, "postgres:///{database}"),
        }
    }
}

/// Connections that are made when they are needed and used again.
#[derive(Clone)]
pub(super) struct Connections {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    pool: Pool,
}

/// A connection, and the statements that were prepared on it.
pub(super) type Connection = Object;

/// A connection that nobody shares, and what drives it.
pub(super) type Lone = (
    tokio_postgres::Client,
    tokio_postgres::Connection<
        tokio_postgres::Socket,
        <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
    >,
);

impl Connections {
    /// Connections to a database, `size` of them at most.
    pub(super) fn to(url: &Url, size: usize) -> Result<Self> {
        let mut config = url.0.clone();
        config
            .options(SESSION)
            .application_name("postrider")
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(10))
            .tcp_user_timeout(Duration::from_secs(10));
        let tls = if config.get_ssl_mode() == SslMode::Disable {
            // Never asked for, but a connector there has to be.
            rustls::ClientConfig::builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth()
        } else {
            rustls::ClientConfig::with_platform_verifier()
                .map_err(|error| Error::Engine(Box::new(error)))?
        };
        let tls = MakeRustlsConnect::new(tls);
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(config.clone(), tls.clone(), recycling);
        let pool = Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .post_create(Hook::sync_fn(|client, _| {
                if client.is_closed() {
                    return Err(HookError::message("connection closed at once"));
                }
                Ok(())
            }))
            .build()
            .map_err(|error| Error::Engine(Box::new(error)))?;
        Ok(Self { config, tls, pool })
    }

    /// A connection; `Unavailable` if there is none within a second.
    pub(super) async fn get(&self) -> Result<Connection> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => from_pg(error),
            error => Error::Unavailable(Box::new(error)),
        })
    }

    /// A connection that nobody shares.
    pub(super) async fn lone(&self) -> Result<Lone> {
        let connected = self.config.connect(self.tls.clone()).await;
        connected.map_err(from_pg)
    }

    /// Lets go of all connections.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_no_password() {
        let url: Url = "postgres://someone:hush@db.example:6432/hooks"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "postgres://db.example:6432/hooks");
        assert!(!format!("{url:?}").contains("hush"));
    }

    #[test]
    fn what_names_no_database_is_refused() {
        for bad in [
            "",
            "sled:./data",
            "postgres://",
            "host=db user=x",
            "postgres://db:port/x",
        ] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }
}
