//! `postrider admin-key`.

use std::io::{self, Write};

use clap::Args;

use super::ServeArgs;
use crate::bootstrap;

/// Arguments of `postrider admin-key`.
///
/// Prints a new key that may do everything for all tenants, once it is set as
/// `auth.admin_key` (`POSTRIDER_AUTH_ADMIN_KEY`) of every server. Nothing else
/// has it.
#[derive(Debug, Args)]
pub struct AdminKeyArgs {
    /// Print the key that an embedded store got when it was first served, from its
    /// directory, instead.
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    sources: ServeArgs,
}

impl AdminKeyArgs {
    /// Prints the key to standard output.
    pub fn run(&self) -> anyhow::Result<()> {
        let key = if self.show {
            bootstrap::first_admin_key(&self.sources.load()?.config)?
        } else {
            bootstrap::new_admin_key()
        };
        writeln!(io::stdout(), "{key}")?;
        Ok(())
    }
}
