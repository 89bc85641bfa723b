//! What every storage engine promises, told as one suite that runs on each.

mod build;
mod embedded;
mod fixture;
mod model;
mod postgres;
mod suite;
mod wait;
