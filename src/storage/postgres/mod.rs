//! The scale-out engine: any number of processes share one PostgreSQL database.
//!
//! Ingest and results go in groups, each a set-based statement over the tables
//! of a day. The queues of subscriptions are spread over the processes by
//! leases on 256 shards. Notifications only make polling early. The only place
//! that holds SQL.

mod accept;
mod accept_rows;
mod api_key;
mod by_hand;
mod catalog;
mod change;
mod check;
mod claim;
mod connect;
mod counts;
mod days;
mod erase;
mod error;
mod export;
mod forget;
mod group;
mod import;
mod import_rows;
mod lease;
mod left_out;
mod list;
mod listen;
mod load;
mod log;
mod migrate;
mod open;
mod ownership;
mod queue;
mod rebuild;
mod record;
mod record_rows;
mod replay;
mod replay_step;
mod retain;
mod rewrap;
mod root_key;
mod row;
mod scan;
mod state;
mod stats;
mod store;
mod tail;
mod transfer;
mod walk;
mod watch;

pub use check::check;
pub use connect::{BadUrl, Url};
pub use migrate::{Migrated, Unsuitable, migrate, pending};
pub use open::{OpenError, Settings, open, open_for};
pub use rewrap::rewrap;
