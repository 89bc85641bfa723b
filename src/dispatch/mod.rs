//! When a delivery is due, whose turn it is, how it is sent and what its answer
//! means. It meets the rest of the program only in the store.

mod attempt;
mod breaker;
mod client;
mod cloudevents;
mod content;
mod disable;
mod dispatcher;
mod ended;
mod failure;
mod fetch;
mod heartbeat;
mod lane;
mod net;
mod order;
mod reads;
mod request;
mod schedule;
mod scheduler;
mod settings;
mod transport;
mod turns;
mod window;

pub use client::{BuildError, HttpTransport};
pub use dispatcher::{Dispatcher, start};
pub use heartbeat::Heartbeat;
pub use request::{Endpoint, Request};
pub use settings::Settings;
pub use transport::{Failure, Received, Response, Transport};
