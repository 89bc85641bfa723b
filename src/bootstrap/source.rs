//! The machine's clock and random numbers: the one place that reads them.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::Rng;

use crate::domain::{Clock, Random, Timestamp};

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "everybody else takes the clock as a parameter"
    )]
    fn now(&self) -> Timestamp {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
        Timestamp::MIN.after(elapsed.unwrap_or_default())
    }
}

/// The process's cryptographic generator, seeded by the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "everybody else takes randomness as a parameter"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}
