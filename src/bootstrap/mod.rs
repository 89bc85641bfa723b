//! Puts the parts together: opens the store, spawns the tasks, serves, drains;
//! and works on stores that nobody serves. The only module that knows all the
//! others.

mod descriptors;
mod lifecycle;
pub mod offline;
mod retention;
mod server;
mod source;

pub use server::{Server, serve};
pub use source::{SystemClock, SystemRandom};
