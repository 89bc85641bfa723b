//! `postrider config show`.

use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::ServeArgs;
use crate::config;

/// Arguments of `postrider config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints the configuration in effect as TOML, each value with its source.
    Show {
        /// Print the reference of all keys instead.
        #[arg(long)]
        reference: bool,
        #[command(flatten)]
        sources: ServeArgs,
    },
}

impl ConfigArgs {
    /// Prints what was asked for to standard output.
    pub fn run(&self) -> anyhow::Result<()> {
        let ConfigCommand::Show { reference, sources } = &self.command;
        let text = if *reference {
            config::reference()
        } else {
            config::effective(&sources.load()?)
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}
