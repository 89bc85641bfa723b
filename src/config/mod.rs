//! What can be configured: one struct for each section, whose fields are the
//! one table that parsing, `config show` and docs/configuration.md come from.
//! Flags win over the environment, that over the file, that over defaults.

mod closest;
mod conflicts;
mod error;
mod format;
mod granted;
mod list;
mod load;
mod quotas;
mod reach;
mod secret;
mod section;
mod sections;
mod show;
mod tenants;
mod units;

pub use error::{Error, Source};
pub use format::{AuthMode, ClientAuth, EngineName, LogFormat};
pub use load::{Flag, Loaded, load};
pub use secret::DatabaseUrl;
pub use section::{Key, Section};
pub use sections::{
    Auth, Config, Delivery, Limits, Log, Quotas, Secrets, Server, Shutdown, Storage, Tls,
};
pub use show::{effective, reference};
pub use tenants::OfTenants;
