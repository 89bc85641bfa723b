//! `postrider receiver`: an endpoint that verifies, counts and times what it is
//! sent. A process of its own for `bench` and `demo`, so that it is neither
//! faster nor slower for what the server does.

mod endpoint;
mod tally;
mod trouble;
mod verify;

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    thread,
    time::Duration,
};

use anyhow::Context;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::oneshot, task::LocalSet};

use self::endpoint::Endpoint;
pub(super) use self::{tally::Stats, verify::Key};
use super::duration;

/// Arguments of `postrider receiver`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Port on 127.0.0.1; 0 takes a free one and prints {"port":N}.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Secret of the subscription; deliveries it did not sign get 401.
    #[arg(long, required_unless_present = "no_verify")]
    secret: Option<String>,
    /// Accepts everything without looking at the signature.
    #[arg(long)]
    no_verify: bool,
    /// Answers 500 to the first N attempts of each webhook-id.
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail_first: u32,
    /// Fails only events of this type; all of them if not given.
    #[arg(long, value_name = "TYPE", requires = "fail_first")]
    fail_type: Vec<String>,
    /// Waits before it answers.
    #[arg(long, value_parser = duration::parse, default_value = "0s")]
    delay: Duration,
    /// Status of the answer to a delivery that is not failed.
    #[arg(long, default_value = "200")]
    status: http::StatusCode,
}

/// Serves until standard input closes, so that it ends with its parent.
pub async fn run(args: Args) -> anyhow::Result<()> {
    // One thread is enough, and cheaper than handing requests between two.
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, serve(args))
    })
    .await?
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let port = listener.local_addr()?.port();
    let endpoint = Rc::new(Endpoint::new(&args)?);
    let parent_gone = standard_input_closed();
    announce(port)?;
    tokio::select! {
        result = accept(&listener, endpoint) => Ok(result?),
        _ = parent_gone => Ok(()),
    }
}

async fn accept(listener: &TcpListener, endpoint: Rc<Endpoint>) -> io::Result<()> {
    let mut http = http1::Builder::new();
    http.auto_date_header(false);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let endpoint = Rc::clone(&endpoint);
        let service = service_fn(move |request| Rc::clone(&endpoint).answer(request));
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::task::spawn_local(async move {
            // The other side going away is not this side's failure.
            let _ended = connection.await;
        });
    }
}

fn announce(port: u16) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{{\"port\":{port}}}")?;
    out.flush()
}

/// Resolves when standard input ends. Its thread is left to die with the
/// process, because a blocking read cannot be called off.
fn standard_input_closed() -> oneshot::Receiver<()> {
    let (closed, when_closed) = oneshot::channel();
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = [0; 256];
        while stdin.read(&mut buffer).is_ok_and(|read| read > 0) {}
        let _nobody_waits = closed.send(());
    });
    when_closed
}

#[cfg(test)]
mod tests;
