//! The command line: what can be called and with which flags.

pub mod bench;
pub mod demo;
pub mod receiver;
pub mod storage;

mod admin_key;
mod bits;
mod child;
mod clock;
mod config;
mod duration;
mod figure;
mod interrupt;
mod latency;
mod migrate;
mod secrets;
mod serve;
mod stamp;

use clap::{Parser, Subcommand};

pub use admin_key::AdminKeyArgs;
pub use config::ConfigArgs;
pub use migrate::{MigrateArgs, exit_code};
pub use secrets::SecretsArgs;
pub use serve::ServeArgs;

use crate::bootstrap;

/// Webhook delivery server: gRPC in, durably stored, signed HTTP POSTs out.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the server until SIGTERM or Ctrl-C.
    Serve(ServeArgs),
    /// Brings the schema of the database up to date.
    Migrate(MigrateArgs),
    /// Makes a key that may do everything, or shows that of a store.
    AdminKey(AdminKeyArgs),
    /// Shows the configuration.
    Config(ConfigArgs),
    /// Shows events on their way, and keeps serving until Ctrl-C.
    Demo(demo::Args),
    /// Copies, checks and counts stores that no server has open.
    Storage(storage::StorageArgs),
    /// Seals the secrets of a store under another key.
    Secrets(SecretsArgs),
    /// Measures a server against the bare limit of the machine.
    Bench(bench::Args),
    /// Receives deliveries, verifies and counts them, until its input closes.
    #[command(hide = true)]
    Receiver(receiver::Args),
}

impl Cli {
    /// Does what was asked for.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(args) => bootstrap::serve(args.load()?.config).await,
            Command::Migrate(args) => args.run().await,
            Command::AdminKey(args) => args.run(),
            Command::Config(args) => args.run(),
            Command::Demo(args) => demo::run(args).await,
            Command::Storage(args) => storage::run(args).await,
            Command::Secrets(args) => args.run().await,
            Command::Bench(args) => bench::run(args).await,
            Command::Receiver(args) => receiver::run(args).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_serve_sets_its_key() {
        let cli = Cli::parse_from([
            "postrider",
            "serve",
            "--listen=127.0.0.1:9",
            "--data-dir=/var/lib/postrider",
            "--auth=none",
            "--log-level=debug",
            "--log-format=json",
        ]);
        let Command::Serve(args) = cli.command else {
            panic!("serve was called");
        };
        let config = args.load().unwrap().config;
        assert_eq!(config.server.listen, "127.0.0.1:9".parse().unwrap());
        assert_eq!(config.storage.data_dir.to_str(), Some("/var/lib/postrider"));
        assert_eq!(config.auth.mode, crate::config::AuthMode::None);
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.log.format, crate::config::LogFormat::Json);
    }
}
