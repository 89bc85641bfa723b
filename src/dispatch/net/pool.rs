//! Connections that are kept for the next request to the same origin.

use std::{
    collections::HashMap,
    mem,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use url::Url;

use super::{Message, Unanswered, connection::Connection};

/// Node, Apache and uvicorn close idle connections after 5 s; a request that
/// crosses such a close is lost, so ours go first.
const IDLE: Duration = Duration::from_secs(4);
/// A receiver that moves is followed, even if its old address goes on answering.
const MAX_AGE: Duration = Duration::from_mins(5);
/// Idle connections that are kept in all.
const MAX_IDLE: usize = 8_192;
/// Requests at once over one connection of HTTP/2: what receivers allow as a rule.
const MAX_SHARES: usize = 100;
const SWEEP: Duration = Duration::from_secs(1);

/// Why a connection that was lent is there.
const HELD: &str = "it is taken only when this ends";

/// The connections of a process that carry nothing, and those that carry
/// several requests at once.
#[derive(Default)]
pub(in crate::dispatch) struct Pool {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    origins: HashMap<Origin, Connections>,
    idle: usize,
}

/// What a connection is good for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Origin {
    is_https: bool,
    host: String,
    port: Option<u16>,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Used>,
    shared: Vec<Used>,
}

struct Used {
    connection: Connection,
    last: Instant,
}

/// A connection for one request. It is closed, or at least used for no other
/// one, unless it is given back.
pub(in crate::dispatch) struct Lent {
    connection: Option<Connection>,
    origin: Origin,
    pool: Arc<Pool>,
}

impl Pool {
    /// An empty pool that closes what stays unused. Needs a runtime.
    pub(in crate::dispatch) fn start() -> Arc<Self> {
        let pool = Arc::<Self>::default();
        tokio::spawn(sweep(Arc::downgrade(&pool)));
        pool
    }

    /// A connection for a request to this URL, if one is kept.
    pub(in crate::dispatch) fn take(self: &Arc<Self>, url: &Url) -> Option<Lent> {
        let origin = Origin::of(url);
        let connection = self.kept.lock().take(&origin)?;
        Some(self.lent(origin, connection))
    }

    /// A new connection for a request to this URL. Others find it at once if it
    /// can be shared.
    pub(in crate::dispatch) fn lend(self: &Arc<Self>, url: &Url, connection: Connection) -> Lent {
        let origin = Origin::of(url);
        if let Some(shared) = connection.share() {
            let mut kept = self.kept.lock();
            let connections = kept.origins.entry(origin.clone()).or_default();
            connections.shared.push(Used::now(shared));
        }
        self.lent(origin, connection)
    }

    fn lent(self: &Arc<Self>, origin: Origin, connection: Connection) -> Lent {
        Lent {
            connection: Some(connection),
            origin,
            pool: Arc::clone(self),
        }
    }
}

impl Kept {
    fn take(&mut self, origin: &Origin) -> Option<Connection> {
        let connections = self.origins.get_mut(origin)?;
        let has_room = |used: &&mut Used| used.is_fresh() && used.connection.shares() < MAX_SHARES;
        if let Some(used) = connections.shared.iter_mut().find(has_room) {
            used.last = Instant::now();
            return used.connection.share();
        }
        // The one that was used last is the least likely to be closed.
        let ready = |used: &Used| used.is_fresh() && used.connection.is_ready();
        let at = connections.idle.iter().rposition(ready)?;
        self.idle -= 1;
        Some(connections.idle.swap_remove(at).connection)
    }

    /// Keeps a connection that carried a request well.
    fn keep(&mut self, origin: Origin, connection: Connection) {
        let connections = self.origins.entry(origin).or_default();
        let same = |used: &&mut Used| used.connection.is_same(&connection);
        if let Some(used) = connections.shared.iter_mut().find(same) {
            used.last = Instant::now();
        } else if self.idle < MAX_IDLE && connection.share().is_none() {
            connections.idle.push(Used::now(connection));
            self.idle += 1;
        }
    }

    /// Lets nobody else share a connection that did not carry a request well.
    fn retire(&mut self, origin: &Origin, connection: &Connection) {
        if let Some(connections) = self.origins.get_mut(origin) {
            let others = |used: &Used| !used.connection.is_same(connection);
            connections.shared.retain(others);
        }
    }

    /// Closes what is closed, was not used for long, or is too old.
    fn sweep(&mut self) {
        let mut idle = 0;
        self.origins.retain(|_, connections| {
            connections.idle.retain(Used::is_fresh);
            connections.shared.retain(Used::is_fresh);
            idle += connections.idle.len();
            !(connections.idle.is_empty() && connections.shared.is_empty())
        });
        self.idle = idle;
    }
}

impl Used {
    fn now(connection: Connection) -> Self {
        Self {
            connection,
            last: Instant::now(),
        }
    }

    fn is_fresh(&self) -> bool {
        let is_in_use = self.connection.shares() > 0;
        !self.connection.is_closed()
            && self.connection.age() < MAX_AGE
            && (is_in_use || self.last.elapsed() < IDLE)
    }
}

impl Lent {
    /// The server at the other end.
    pub(in crate::dispatch) fn peer(&self) -> SocketAddr {
        self.connection().peer()
    }

    /// Sends a request and waits for the head of its answer.
    pub(in crate::dispatch) async fn send(
        &mut self,
        message: Message,
    ) -> Result<http::Response<Incoming>, Unanswered> {
        let connection = self.connection.as_mut().expect(HELD);
        connection.send(message).await
    }

    /// Keeps the connection for others, after the whole answer was read.
    pub(in crate::dispatch) fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            let origin = mem::take(&mut self.origin);
            self.pool.kept.lock().keep(origin, connection);
        }
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect(HELD)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            self.pool.kept.lock().retire(&self.origin, connection);
        }
    }
}

impl Origin {
    fn of(url: &Url) -> Self {
        Self {
            is_https: url.scheme() == "https",
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port(),
        }
    }
}

async fn sweep(pool: Weak<Pool>) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        pool.kept.lock().sweep();
    }
}
