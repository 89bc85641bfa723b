//! `postrider serve`.

use std::path::PathBuf;

use clap::Args;

use crate::config::{self, Flag, Loaded};

/// Flags that choose the configuration. Every key and its default is in
/// docs/configuration.md.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// TOML file to read [env: `POSTRIDER_CONFIG`; default: postrider.toml if it
    /// is there].
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Address and port of the gRPC server.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Directory of the store.
    #[arg(long, value_name = "PATH")]
    data_dir: Option<String>,
    /// keys, or none: then anybody may do everything, so the server must listen on
    /// a loopback address.
    #[arg(long, value_name = "MODE")]
    auth: Option<String>,
    /// Level, or a filter with levels for parts.
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    /// auto, text or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl ServeArgs {
    /// The configuration that the file, the environment and these flags make.
    pub fn load(&self) -> Result<Loaded, config::Error> {
        let flags = [
            ("--listen", "server.listen", &self.listen),
            ("--data-dir", "storage.data_dir", &self.data_dir),
            ("--auth", "auth.mode", &self.auth),
            ("--log-level", "log.level", &self.log_level),
            ("--log-format", "log.format", &self.log_format),
        ];
        let flags: Vec<_> = flags
            .into_iter()
            .filter_map(|(name, key, text)| {
                let text = text.clone()?;
                Some(Flag { name, key, text })
            })
            .collect();
        config::load(self.config.clone(), &flags)
    }
}
