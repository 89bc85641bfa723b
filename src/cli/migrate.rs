//! `postrider migrate`.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;

use super::duration;
use crate::{bootstrap, config};

/// Exit code of `--check` when migrations are missing.
const PENDING: u8 = 3;

/// Arguments of `postrider migrate`.
///
/// The server migrates by itself when it starts; this is for those who want it
/// done before, or by another user of the database.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// TOML file to read [env: `POSTRIDER_CONFIG`; default: postrider.toml if it
    /// is there].
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Only say what is missing, with exit code 3 if something is.
    #[arg(long)]
    check: bool,
    /// How long a database that cannot be reached is waited for.
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "0s")]
    wait_for: Duration,
}

impl MigrateArgs {
    /// Migrates, or checks, and says on standard output what was done.
    pub async fn run(self) -> anyhow::Result<()> {
        let config = config::load(self.config, &[])?.config;
        let mut out = io::stdout();
        let applied = if self.check {
            bootstrap::check(&config, self.wait_for).await?;
            Vec::new()
        } else {
            bootstrap::migrate(&config, self.wait_for).await?
        };
        for name in &applied {
            writeln!(out, "applied {name}")?;
        }
        writeln!(out, "the schema is up to date")?;
        Ok(())
    }
}

/// The exit code that an error stands for.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<bootstrap::Pending>() {
        ExitCode::from(PENDING)
    } else {
        ExitCode::FAILURE
    }
}
