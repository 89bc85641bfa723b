//! `postrider storage`: works on stores that no server has open.

mod check;
mod progress;
mod table;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::{Args, Subcommand};

use self::progress::Bar;
use super::figure::count;
use crate::{
    bootstrap::offline::{self, StoreUrl, Totals},
    config::{self, Secrets},
};

/// Arguments of `postrider storage`.
#[derive(Debug, Args)]
pub struct StorageArgs {
    #[command(subcommand)]
    command: StorageCommand,
}

#[derive(Debug, Subcommand)]
enum StorageCommand {
    /// Copies everything into an empty store, of the same engine or another.
    ///
    /// Both have to be at rest: no server may have them open. Counts both
    /// afterwards and fails if they differ. A copy that was cut off goes on
    /// where it stopped when the command is repeated.
    Copy {
        /// The store to copy: sled:PATH, fjall:PATH or postgres://...
        #[arg(long, value_name = "URL")]
        from: String,
        /// The store to copy into; it is made if it is missing.
        #[arg(long, value_name = "URL")]
        to: String,
    },
    /// Reads everything in a store and prints what should not be so.
    ///
    /// Exits with 0 if the store is sound and with 1 otherwise. No server may have
    /// the store open.
    Check {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Counts what is in a store, by day.
    Stats {
        #[command(flatten)]
        store: StoreArgs,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Which store is meant.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// The store: sled:PATH, fjall:PATH or postgres://...; the configured one if
    /// not given.
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// TOML file that names the store [env: `POSTRIDER_CONFIG`; default:
    /// postrider.toml if it is there].
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    config: Option<PathBuf>,
}

impl StoreArgs {
    pub(super) fn resolve(self) -> anyhow::Result<(StoreUrl, Secrets)> {
        let config = config::load(self.config, &[])?.config;
        let url = match self.url {
            Some(url) => parse("URL", &url)?,
            None => StoreUrl::configured(&config.storage).context("storage.url")?,
        };
        Ok((url, config.secrets))
    }
}

/// Does what was asked for.
pub async fn run(args: StorageArgs) -> anyhow::Result<()> {
    match args.command {
        StorageCommand::Copy { from, to } => {
            let secrets = config::load(None, &[])?.config.secrets;
            copy(&parse("--from", &from)?, &parse("--to", &to)?, &secrets).await
        }
        StorageCommand::Check { store } => {
            let (url, secrets) = store.resolve()?;
            check::check(&url, &secrets).await
        }
        StorageCommand::Stats { store, json } => {
            let (url, secrets) = store.resolve()?;
            stats(&url, &secrets, json).await
        }
    }
}

/// Reads a URL from the command line, which would show a bad one with its
/// password if it did so itself.
fn parse(argument: &'static str, url: &str) -> anyhow::Result<StoreUrl> {
    url.parse().context(argument)
}

async fn copy(from: &StoreUrl, to: &StoreUrl, secrets: &Secrets) -> anyhow::Result<()> {
    let mut bar = Bar::start();
    let copied = offline::copy_store(from, to, secrets, &mut |progress| bar.show(progress)).await;
    drop(bar);
    print(&format!("copied {from} to {to}: {}\n", listed(&copied?)))
}

/// How much of everything there is, in one line.
fn listed(totals: &Totals) -> String {
    format!(
        "{} subscriptions, {} events, {} deliveries ({} due), {} attempts, {} idempotency keys",
        count(totals.subscriptions),
        count(totals.events),
        count(totals.deliveries),
        count(totals.due),
        count(totals.attempts),
        count(totals.idempotency_keys),
    )
}

async fn stats(url: &StoreUrl, secrets: &Secrets, json: bool) -> anyhow::Result<()> {
    let counts = offline::count_store(url, secrets).await?;
    if json {
        print(&format!("{}\n", table::to_json(url, &counts)))
    } else {
        print(&table::to_table(url, &counts))
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
