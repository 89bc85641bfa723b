//! What can be configured: one struct for each section, whose fields are the
//! one table that parsing, `config show` and docs/configuration.md come from.
//! Flags win over the environment, that over the file, that over defaults.

mod closest;
mod error;
mod format;
mod list;
mod load;
mod reach;
mod secret;
mod section;
mod sections;
mod show;
mod tenants;
mod units;

pub use error::{Error, Source};
pub use format::{AuthMode, EngineName, LogFormat};
pub use load::{Flag, Loaded, load};
pub use secret::DatabaseUrl;
pub use section::{Key, Section};
pub use sections::{Auth, Config, Delivery, Limits, Log, Secrets, Server, Shutdown, Storage};
pub use show::{effective, reference};
pub use tenants::TenantPeriods;
