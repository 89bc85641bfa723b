//! Takes connections in, as long as there are places for them and the server
//! does not drain.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use super::{
    connection::Connections,
    places::{Places, Taken},
};

/// Pause after the system could not give a connection, for want of files as a
/// rule: trying at once would only cost time.
const PAUSE: Duration = Duration::from_millis(100);
/// Refused connections are told no more often than this.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Serves whoever connects, until the server drains; returns when every
/// connection has ended. `accepting` says whether the system gives connections.
pub(in crate::grpc) async fn accept(
    listener: TcpListener,
    places: Places,
    connections: Connections,
    accepting: watch::Sender<bool>,
) {
    let taken = Taken::new(places);
    let connections = Arc::new(connections);
    let open = TaskTracker::new();
    let mut refused = Refused::default();
    loop {
        let failed = !*accepting.borrow();
        let accepted = tokio::select! {
            biased;
            () = connections.draining() => break,
            accepted = listener.accept() => Some(accepted),
            // Nobody waits, and waiting is no error any more.
            () = sleep(PAUSE), if failed => None,
        };
        match accepted {
            Some(Ok((stream, address))) => match taken.take(address.ip()) {
                Some(place) => {
                    let connections = Arc::clone(&connections);
                    open.spawn(serve(connections, stream, address, place));
                }
                None => refused.tell(address),
            },
            Some(Err(error)) if is_the_clients(&error) => continue,
            Some(Err(error)) => {
                if accepting.send_replace(false) {
                    tracing::warn!(%error, "cannot accept connections");
                }
                sleep(PAUSE).await;
                continue;
            }
            None => {}
        }
        if failed {
            accepting.send_replace(true);
            tracing::info!("accepts connections again");
        }
    }
    drop(listener);
    open.close();
    open.wait().await;
}

async fn serve(
    connections: Arc<Connections>,
    stream: TcpStream,
    address: SocketAddr,
    place: super::places::Place,
) {
    connections.serve(stream, address).await;
    drop(place);
}

/// A connection that was gone before it was taken in.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

/// Counts connections for which there was no place.
#[derive(Default)]
struct Refused {
    count: u64,
    told: Option<Instant>,
}

impl Refused {
    fn tell(&mut self, address: SocketAddr) {
        self.count += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            tracing::warn!(
                refused = self.count,
                last = %address.ip(),
                "refused connections: server.max_connections or \
                 server.max_connections_per_address are open"
            );
            *self = Self {
                count: 0,
                told: Some(Instant::now()),
            };
        }
    }
}
