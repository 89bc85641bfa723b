//! Dials one of several addresses.

use std::{io, net::SocketAddr, os::fd::AsRawFd, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use rustix::io::Errno;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long an address has for itself, until the next one is tried beside it
/// (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Most addresses of a name that are tried.
const MAX_TRIED: usize = 16;

/// From one look for a file that is free to the next.
const SCARCE: Duration = Duration::from_millis(100);

/// Connects to the first address that answers, as a file below a number. While
/// this machine has no such file or no memory left for a connection it waits, as
/// no endpoint is to blame for that.
pub(super) async fn dial(addresses: &[SocketAddr], files_below: u64) -> io::Result<TcpStream> {
    loop {
        match dial_in_turn(addresses).await {
            Ok(stream) if u64::from(stream.as_raw_fd().unsigned_abs()) >= files_below => {}
            Err(error) if is_scarcity(&error) => {}
            dialled => return dialled,
        }
        sleep(SCARCE).await;
    }
}

fn is_scarcity(error: &io::Error) -> bool {
    let lacking = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| lacking.contains(&errno))
}

/// Tries addresses in order, the next one as soon as one fails or takes long. The
/// error is the last one.
async fn dial_in_turn(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut left = addresses.iter().take(MAX_TRIED);
    let mut dialling = FuturesUnordered::new();
    let mut failed = io::Error::other("there is no address");
    loop {
        if let Some(address) = left.next() {
            dialling.push(TcpStream::connect(*address));
        }
        match timeout(HEAD_START, dialling.next()).await {
            Ok(Some(Ok(stream))) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Some(Err(error))) => failed = error,
            Ok(None) => return Err(failed),
            Err(_) => {}
        }
    }
}
