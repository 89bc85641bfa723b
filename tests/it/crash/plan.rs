//! How hard a run is, and the chance in it, which is the seed's alone.

use std::{env, str::FromStr};

use postrider::storage::embedded::Adapter;

/// What `tests/crash` was asked for; a small run if it was not called.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How often the server is killed.
    pub kills: u32,
    /// About how long each lives under load.
    pub seconds_per_life: f64,
    /// Makes the chance of a run repeatable.
    pub seed: u64,
    /// The storage engine; the configured default if none.
    pub engine: Option<String>,
}

impl Plan {
    /// The plan of the environment.
    pub fn read() -> Self {
        let seed = number("CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
        Self {
            kills: number("CRASH_KILLS").unwrap_or(6),
            seconds_per_life: number("CRASH_SECONDS_PER_LIFE").unwrap_or(0.8),
            seed,
            engine: env::var("CRASH_ENGINE").ok(),
        }
    }

    /// What the server keeps its rows with, if they are in its directory.
    pub fn adapter(&self) -> Option<Adapter> {
        match self.engine.as_deref() {
            Some("fjall") => Some(Adapter::Fjall),
            Some("sled") | None => Some(Adapter::Sled),
            Some(_) => None,
        }
    }

    /// Environment variables of the server.
    pub fn variables(&self) -> Vec<(&str, &str)> {
        let engine = self.engine.as_deref();
        engine
            .map(|name| ("POSTRIDER_STORAGE_ENGINE", name))
            .into_iter()
            .collect()
    }
}

fn number<T: FromStr>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok()?;
    let number = text.parse().ok();
    Some(number.unwrap_or_else(|| panic!("{variable} is {text:?}, must be a number")))
}

/// Chance that a seed decides.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The dice of a seed and of whoever throws them.
    pub fn new(seed: u64, thrower: u64) -> Self {
        Self(mix(seed, thrower))
    }

    /// Any number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0, 0)
    }

    /// A number below another.
    pub fn below(&mut self, end: u64) -> u64 {
        self.throw() % end
    }

    /// Whether something that happens once in so many times happens.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Two numbers stirred into one, as `SplitMix64` does.
pub fn mix(a: u64, b: u64) -> u64 {
    let mut x = a
        .wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03))
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
