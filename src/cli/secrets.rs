//! `postrider secrets`: works on what keeps the secrets of a store.

use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::{figure::count, storage::StoreArgs};
use crate::bootstrap::offline;

/// Arguments of `postrider secrets`.
#[derive(Debug, Args)]
pub struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
enum SecretsCommand {
    /// Seals all subscription secrets under the newest key in `secrets.key`.
    ///
    /// To change the key: add the new one after the old one and restart every
    /// server; put it first and restart them; rewrap; then the old one is needed
    /// for API keys alone that were made under it. No server may have an embedded
    /// store open meanwhile; a database may be served.
    Rewrap {
        #[command(flatten)]
        store: StoreArgs,
    },
}

impl SecretsArgs {
    /// Does what was asked for, and says what that was.
    pub async fn run(self) -> anyhow::Result<()> {
        let SecretsCommand::Rewrap { store } = self.command;
        let (url, secrets) = store.resolve()?;
        let sealed = offline::rewrap_store(&url, &secrets).await?;
        let rows = if sealed == 1 { "row" } else { "rows" };
        writeln!(
            io::stdout(),
            "sealed {} {rows} of {url} anew",
            count(sealed)
        )?;
        Ok(())
    }
}
