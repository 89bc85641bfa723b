//! `postrider demo`: one command that shows the whole way of an event, from
//! publishing over failed attempts to its delivery, and then keeps serving.

mod hints;
mod lines;
mod screen;
mod story;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use self::{screen::Screen, story::Story};
use super::{
    child::{Receiver, ScratchFolder, Server, free_address},
    interrupt::Interrupt,
};

/// Secret that the demo's subscription and receiver share.
const SECRET: &str = "whsec_cG9zdHJpZGVyLWRlbW8tbm90LWEtc2VjcmV0IQ==";

/// Arguments of `postrider demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Folder of the server's data (in `store`) and log; a temporary one, removed
    /// at the end, if not given.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Address of the gRPC server; another port is taken if this one is in use.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// Ends when the events are delivered.
    #[arg(long, hide = true)]
    once: bool,
}

/// Shows the demo and serves until Ctrl-C.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut interrupt = Interrupt::listen()?;
    let screen = Screen::stdout();
    let scratch = match &args.data_dir {
        Some(_) => None,
        None => Some(ScratchFolder::create("postrider-demo")?),
    };
    let temporary = scratch.as_ref().map(ScratchFolder::path);
    let folder = args.data_dir.as_deref().or(temporary);
    let folder = folder.expect("one of them is there");
    screen.title()?;
    let mut server = start_server(&args, folder, scratch.is_some(), &screen).await?;
    let shown = tokio::select! {
        () = interrupt.received() => Ok(screen.note("stopping")?),
        shown = show(&args, server.address(), &screen) => shown,
        error = server.ended() => Err(error),
    };
    let stopped = server.stop().await;
    shown?;
    stopped?;
    screen.note("stopped")?;
    Ok(())
}

async fn start_server(
    args: &Args,
    folder: &Path,
    temporary: bool,
    screen: &Screen,
) -> anyhow::Result<Server> {
    let address =
        free_address(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    let spinner = Screen::spinner("starting the server");
    let server = Server::start(folder, address).await?;
    spinner.finish_and_clear();
    let instead = if args.listen.port() == 0 || address == args.listen {
        String::new()
    } else {
        format!(" ({} is in use)", args.listen)
    };
    screen.step("server", &format!("gRPC on {address}{instead}"))?;
    let removed = if temporary {
        " (removed at the end)"
    } else {
        ""
    };
    screen.step("data", &format!("{}{removed}", folder.display()))?;
    screen.step("log", &server.log().display().to_string())?;
    let open = "nobody is asked for an API key, so it answers this machine only";
    screen.step("access", open)?;
    Ok(server)
}

async fn show(args: &Args, address: SocketAddr, screen: &Screen) -> anyhow::Result<()> {
    let failing = story::FAILING_TYPES;
    let mut options = vec!["--secret", SECRET, "--fail-first", "2"];
    for event_type in failing {
        options.extend(["--fail-type", event_type]);
    }
    let receiver = Receiver::start(&options).await?;
    let url = format!("{}/webhooks", receiver.url());
    let receiver_does = format!(
        "{url}, verifies every signature, answers 500 to the first 2 attempts of {}",
        failing.join(" and ")
    );
    screen.step("receiver", &receiver_does)?;

    let mut story = Story::begin(address, &url).await?;
    let subscribed = format!(
        "{} to order.*, payment.*, invoice.*; retries after 1, 2 and 4 s",
        story.subscription_id()
    );
    screen.step("subscribed", &subscribed)?;
    screen.blank()?;
    screen.header()?;
    let outcome = story.tell(screen).await?;
    screen.blank()?;
    screen.summary(&outcome)?;
    if !args.once {
        let id = story.subscription_id();
        screen.text(&hints::hints(address, id, &outcome, screen.width()))?;
        screen.note("serving until Ctrl-C; attempts go on appearing here")?;
        screen.blank()?;
        story.follow(screen).await?;
    }
    Ok(())
}

/// What the demo came to.
#[derive(Debug, Clone, Default)]
struct Outcome {
    published: usize,
    delivered: usize,
    attempts: usize,
    /// A delivery that was tried more than once.
    retried_delivery_id: String,
    took: Duration,
}
