//! Puts the parts together: opens the store, spawns the tasks, serves, drains;
//! and works on stores that nobody serves. The only module that knows all the
//! others.

mod access;
mod descriptors;
mod health;
mod lifecycle;
mod migrate;
pub mod offline;
mod quotas;
mod reach;
mod readiness;
mod retention;
mod server;
mod source;
mod store;

pub use access::{first_admin_key, new_admin_key};
pub use migrate::{Pending, check, migrate};
pub use server::{Server, serve};
pub use source::{SystemClock, SystemRandom};
