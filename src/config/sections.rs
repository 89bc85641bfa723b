//! The sections and their keys, each with its documentation and its default.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::{
    AuthMode, ClientAuth, DatabaseUrl, EngineName, LogFormat, Section,
    format::{Address, Choice, Count, Filter, Format, Optional, Path, Period, Size, Switch},
    granted::Granted,
    list::List,
    quotas::Rate,
    reach::{Excepted, Nameserver},
    secret::{Database, Hidden},
    section::section,
    tenants::{ByTenant, OfTenants},
    units::{DAY, GIB, HOUR, KIB, MIB, SECOND},
};
use crate::domain::{Exception, Grant, KeyText, RateLimit, RootKeys};

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[tls]`
    pub tls: Tls,
    /// `[auth]`
    pub auth: Auth,
    /// `[secrets]`
    pub secrets: Secrets,
    /// `[storage]`
    pub storage: Storage,
    /// `[limits]`
    pub limits: Limits,
    /// `[quotas]`
    pub quotas: Quotas,
    /// `[delivery]`
    pub delivery: Delivery,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[log]`
    pub log: Log,
}

impl Config {
    /// Every section, in the order they are shown.
    pub fn sections(&self) -> [&dyn Section; 10] {
        [
            &self.server,
            &self.tls,
            &self.auth,
            &self.secrets,
            &self.storage,
            &self.limits,
            &self.quotas,
            &self.delivery,
            &self.shutdown,
            &self.log,
        ]
    }

    /// The section of this name.
    pub(super) fn section_mut(&mut self, name: &str) -> Option<&mut dyn Section> {
        let sections: [&mut dyn Section; 10] = [
            &mut self.server,
            &mut self.tls,
            &mut self.auth,
            &mut self.secrets,
            &mut self.storage,
            &mut self.limits,
            &mut self.quotas,
            &mut self.delivery,
            &mut self.shutdown,
            &mut self.log,
        ];
        sections.into_iter().find(|section| section.name() == name)
    }
}

section! {
    /// Where calls come in.
    struct Server in "server" {
        /// Address and port of the gRPC server. The default answers this machine
        /// only; any other needs `[tls]`, or `plaintext`.
        listen: SocketAddr as Address = SocketAddr::from((Ipv4Addr::LOCALHOST, 50051)),
        /// Serves other machines without TLS: where something in front of the
        /// server encrypts, or the network is trusted.
        plaintext: bool as Switch = false,
        /// Address and port that answer health checks alone, in plaintext: for
        /// those who cannot speak TLS, such as the kubelet. None if empty.
        health_listen: Option<SocketAddr> as Optional<Address> = None,
        /// Connections that may be open at once. More are closed at once. Fewer
        /// where few files may be open (`ulimit -n`).
        max_connections: usize as Count<usize, 1, 1_000_000> = 4_096,
        /// Connections that may be open from one address, or from one /64 of
        /// IPv6. Behind a proxy, all callers have the proxy's address.
        max_connections_per_address: usize as Count<usize, 1, 1_000_000> = 1_024,
        /// Calls that one connection may have open at once.
        max_concurrent_streams: u32 as Count<u32, 1, 100_000> = 100,
        /// Calls that may be under way at once, over all connections; of those
        /// that read half as many. More are refused with UNAVAILABLE (OVERLOADED)
        /// and may be tried again. Those that wait for an endpoint or a nameserver
        /// (`TestSubscription`, `CreateSubscription`, `UpdateSubscription`) have places
        /// of their own, a sixteenth as many, for each tenant half of what the
        /// others leave.
        max_calls: usize as Count<usize, 1, 1_000_000> = 1_024,
        /// Streams that may be open at once, over all connections, for each tenant
        /// half of what the others leave.
        max_streams: usize as Count<usize, 1, 1_000_000> = 1_024,
        /// Memory for requests that are under way: events that wait until they
        /// are written, above all. Calls beyond it are refused as overload is;
        /// streams wait. Messages of streams that come in pieces have a quarter
        /// as much beside it, and 30 s each to be complete.
        max_request_memory: u32 as Size<u32, { 128 * MIB }, { 3 * GIB }> = 256 * 1024 * 1024,
        /// Answers that clients have not taken yet, an eighth of them for each
        /// connection, and for each tenant half of what the others leave; they take
        /// two to three times the memory. While there are more, calls that read are
        /// refused as overload is; a connection that takes less than a twentieth of
        /// them in 30 s is closed.
        max_response_memory: usize as Size<usize, { 32 * MIB }, { 3 * GIB }> = 256 * 1024 * 1024,
    }
}

section! {
    /// Encryption of the gRPC server, TLS 1.2 or newer. The files are read again
    /// when they change, and no call is dropped; if what they hold then cannot be
    /// used, the old certificates stay.
    struct Tls in "tls" {
        /// The server's certificate and those between it and its authority, PEM.
        cert_file: Option<PathBuf> as Optional<Path> = None,
        /// The private key of the certificate, PEM.
        key_file: Option<PathBuf> as Optional<Path> = None,
        /// The authorities of clients' certificates, PEM. Clients are asked for
        /// a certificate if it is set.
        client_ca_file: Option<PathBuf> as Optional<Path> = None,
        /// Whether a client needs a certificate where it is asked for one.
        client_auth: ClientAuth as Choice<ClientAuth> = ClientAuth::Required,
    }
}

section! {
    /// Who may call.
    struct Auth in "auth" {
        /// With `keys`, every call but those of health and reflection needs an API
        /// key. With `none`, anybody may do everything, for any tenant; that is
        /// refused unless the server answers this machine only.
        mode: AuthMode as Choice<AuthMode> = AuthMode::Keys,
        /// A key that may do everything for all tenants, and is good for as long as
        /// it stands here. `postrider admin-key` makes one. Better set by the
        /// environment, or in a file. Without it, and without a name of
        /// `certificates` for all tenants, an embedded store gets one when it is first
        /// served, in the file `admin.key` of its directory.
        admin_key: Option<KeyText> as Hidden<KeyText> = None,
        /// A file that holds that key.
        admin_key_file: Option<PathBuf> as Optional<Path> = None,
        /// Clients that need no key, known by a name in the certificate that they
        /// show (`tls.client_ca_file`): a DNS name or URI among its alternative names,
        /// or its whole subject, such as `CN=billing`. Each with the tenant it acts
        /// for, or `*` for all, and what it may do. A key that is shown counts instead.
        certificates: Vec<Grant> as List<Granted> = Vec::new(),
    }
}

section! {
    /// What secrets are kept by. Whoever has this and a copy of the store has what
    /// is in it.
    struct Secrets in "secrets" {
        /// The key by which subscription secrets are sealed and API keys are hashed;
        /// the same in every process that serves the store. Older keys may follow it,
        /// separated by commas or white space: they are good for what was sealed and
        /// hashed by them. Without a key, a store is not served, nor is an API key
        /// known that was made under it. Better set by the environment, or in a file.
        /// If there is none, an embedded store gets one in the file `secrets.key` of
        /// its directory, and PostgreSQL is not served.
        key: Option<RootKeys> as Hidden<RootKeys> = None,
        /// A file that holds that key, and older ones.
        key_file: Option<PathBuf> as Optional<Path> = None,
    }
}

section! {
    /// Where events are kept.
    struct Storage in "storage" {
        /// The storage engine. An embedded store remembers which one wrote it, and
        /// another one refuses it. `postgres` keeps everything in a database that
        /// any number of processes share.
        engine: EngineName as Choice<EngineName> = EngineName::Sled,
        /// Directory of an embedded store; it is created if it is missing, and
        /// belongs to one process at a time.
        data_dir: PathBuf as Path = PathBuf::from("./data"),
        /// Memory for the pages of an embedded store.
        cache_size: u64 as Size<u64, MIB, { 64 * GIB }> = 64 * MIB,
        /// The database of the engine `postgres`: PostgreSQL 15 or newer. Holds a
        /// password as a rule, so it is better set by the environment.
        url: DatabaseUrl as Database = DatabaseUrl::default(),
        /// Most connections that this process opens to the database.
        connections: usize as Count<usize, 8, 1_000> = 16,
        /// How long a process that died, or does not reach the database, keeps
        /// its queues from the others that share it. A process that is paused
        /// for longer than a fifth of this may send what another one sends, too.
        lease: Duration as Period<{ 2 * SECOND }, HOUR> = Duration::from_secs(10),
        /// How long events are kept, with their deliveries and attempts; then
        /// they go a whole day (UTC) at a time. A day in which a delivery is
        /// still pending is kept until that is settled. At least a day more
        /// than the longest retry schedule.
        retention: Duration as Period<{ 29 * DAY }, { 3_650 * DAY }> = Duration::from_hours(30 * 24),
        /// Tenants whose events are kept for less than that, each with how long;
        /// at least as long as idempotency keys are remembered. An event with a
        /// pending delivery is kept until that is settled. Not longer than
        /// `retention`.
        tenant_retention: OfTenants<Duration> as ByTenant<Period<{ 7 * DAY }, { 3_650 * DAY }>> = OfTenants::new(),
    }
}

section! {
    /// What a publisher may send.
    struct Limits in "limits" {
        /// Largest payload of one event.
        max_payload_size: usize as Size<usize, KIB, { 16 * MIB }> = 256 * 1024,
        /// Largest `BatchPublishEvents` request.
        max_batch_size: usize as Size<usize, KIB, { 64 * MIB }> = 4 * 1024 * 1024,
        /// Most events in one `BatchPublishEvents` request.
        max_batch_events: usize as Count<usize, 1, 1_000> = 1_000,
    }
}

section! {
    /// What each tenant may use; what is empty has no bound. A call that would use
    /// more is refused with `RESOURCE_EXHAUSTED`, reason `QUOTA_EXCEEDED`, and told when to
    /// come again. Rates and counts of single tenants take the place of those of
    /// all.
    struct Quotas in "quotas" {
        /// Events that a tenant may publish. A batch that is larger than what may
        /// come at once is taken after a pause, and waited for afterwards. Each
        /// process holds tenants to it for what it takes in itself.
        publish_rate: Option<RateLimit> as Optional<Rate> = None,
        /// Tenants with another rate.
        tenant_publish_rate: OfTenants<RateLimit> as ByTenant<Rate> = OfTenants::new(),
        /// Payloads that a tenant may publish in a second, likewise; those of a
        /// call are counted in whole KiB.
        publish_size: Option<u64> as Optional<Size<u64, KIB, { 64 * MIB }>> = None,
        /// Tenants with another size.
        tenant_publish_size: OfTenants<u64> as ByTenant<Size<u64, KIB, { 64 * MIB }>> = OfTenants::new(),
        /// Subscriptions that a tenant may have, disabled ones too.
        subscriptions: Option<u32> as Optional<Count<u32, 1, 1_000_000>> = None,
        /// Tenants that may have another number of subscriptions.
        tenant_subscriptions: OfTenants<u32> as ByTenant<Count<u32, 1, 1_000_000>> = OfTenants::new(),
        /// Deliveries that may be pending when a tenant publishes, due now or later.
        /// They are counted every 5 s, so there may be more by what was published
        /// meanwhile.
        pending: Option<u64> as Optional<Count<u64, 1, 1_000_000_000>> = None,
        /// Tenants that may have another number of deliveries pending.
        tenant_pending: OfTenants<u64> as ByTenant<Count<u64, 1, 1_000_000_000>> = OfTenants::new(),
    }
}

section! {
    /// How events go out.
    struct Delivery in "delivery" {
        /// Attempts that may be under way at once, over all subscriptions; a
        /// tenant leaves an eighth of them to others.
        max_in_flight: usize as Count<usize, 1, 100_000> = 4_096,
        /// How long a subscription may have nothing but failures until it is
        /// disabled, up to ten minutes later; never if it is `0ms`. A success
        /// begins the time anew, and so does every change of the subscription.
        disable_after: Duration as Period<0, { 14 * DAY }> = Duration::from_hours(5 * 24),
        /// Networks that may be called though they are not public, each at all
        /// ports or at one. Names without a public meaning, such as `localhost`
        /// or `orders.default.svc`, may lead nowhere else. Metadata services of
        /// clouds are never called.
        allow: Vec<Exception> as List<Excepted> = Vec::new(),
        /// Servers that resolve names. Those of the system (`/etc/resolv.conf`)
        /// if there are none.
        nameservers: Vec<SocketAddr> as List<Nameserver> = Vec::new(),
        /// File of certificates in PEM that receivers' certificates may stand
        /// on, beside those that the system trusts.
        ca_file: Option<PathBuf> as Optional<Path> = None,
    }
}

section! {
    /// How the server stops.
    struct Shutdown in "shutdown" {
        /// Time from SIGTERM until what is still under way is cut off.
        deadline: Duration as Period<SECOND, HOUR> = Duration::from_secs(8),
    }
}

section! {
    /// What is logged, to standard error.
    struct Log in "log" {
        /// Level, or a filter with levels for parts of the program. Certificates
        /// of receivers that do not verify are told by their attempts; the log
        /// has them from `debug` on, or by `rustls_platform_verifier=error`.
        level: String as Filter = "info".to_owned(),
        /// Shape of the lines; `auto` is text on a terminal and JSON elsewhere.
        format: LogFormat as Choice<LogFormat> = LogFormat::Auto,
    }
}
