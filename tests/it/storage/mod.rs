//! What every storage engine promises, told as one suite that runs on each.

pub mod build;
mod embedded;
pub mod fixture;
mod model;
mod postgres;
mod suite;
mod wait;
