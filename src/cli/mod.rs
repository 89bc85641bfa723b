//! The command line: what can be called and with which flags.

mod config;
mod serve;

use clap::{Parser, Subcommand};

pub use config::ConfigArgs;
pub use serve::ServeArgs;

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
    /// Shows the configuration.
    Config(ConfigArgs),
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
            "--log-level=debug",
            "--log-format=json",
        ]);
        let Command::Serve(args) = cli.command else {
            panic!("serve was called");
        };
        let config = args.load().unwrap().config;
        assert_eq!(config.server.listen, "127.0.0.1:9".parse().unwrap());
        assert_eq!(config.storage.data_dir.to_str(), Some("/var/lib/postrider"));
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.log.format, crate::config::LogFormat::Json);
    }
}
