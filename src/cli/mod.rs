//! The commands of the `postrider` program. A command speaks to a server over
//! gRPC like anybody else.

pub mod bench;
pub mod demo;
pub mod receiver;

mod child;
mod clock;
mod duration;
mod interrupt;
mod latency;
mod stamp;
