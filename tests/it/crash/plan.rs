//! How hard a run is, and the chance in it, which is the seed's alone.

use std::{env, str::FromStr};

use postrider::storage::embedded::Adapter;

/// The engine whose store any number of servers share.
const SHARED: &str = "postgres";

/// What `tests/crash` was asked for; a small run if it was not called.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How often servers are killed.
    pub kills: u32,
    /// How often the database is stopped, where the servers stay.
    pub stops: u32,
    /// How many servers there are.
    pub replicas: usize,
    /// About how long each lives under load.
    pub seconds_per_life: f64,
    /// Makes the chance of a run repeatable.
    pub seed: u64,
    /// The storage engine; the configured default if none.
    pub engine: Option<String>,
}

impl Plan {
    /// Kills, of the engine that the environment names.
    pub fn of_kills() -> Self {
        Self::new(env::var("CRASH_ENGINE").ok(), 6, 0)
    }

    /// Kills of servers that share a database.
    pub fn of_kills_beside_others() -> Self {
        Self::new(Some(SHARED.to_owned()), 3, 0)
    }

    /// Stops of the database, and no kills.
    pub fn of_stops() -> Self {
        let stops = number("CRASH_STOPS").unwrap_or(2);
        let plan = Self::new(Some(SHARED.to_owned()), 0, stops);
        Self { kills: 0, ..plan }
    }

    fn new(engine: Option<String>, kills: u32, stops: u32) -> Self {
        let is_shared = engine.as_deref() == Some(SHARED);
        let (replicas, seconds) = if is_shared { (2, 1.5) } else { (1, 0.8) };
        let plan = Self {
            kills: number("CRASH_KILLS").unwrap_or(kills),
            stops,
            replicas: number("CRASH_REPLICAS").unwrap_or(replicas),
            seconds_per_life: number("CRASH_SECONDS_PER_LIFE").unwrap_or(seconds),
            seed: number("CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id())),
            engine,
        };
        let most = if is_shared { 8 } else { 1 };
        let replicas = plan.replicas;
        assert!((1..=most).contains(&replicas), "{replicas} replicas");
        plan
    }

    /// Whether the servers share a database.
    pub fn is_shared(&self) -> bool {
        self.engine.as_deref() == Some(SHARED)
    }

    /// Whether servers outlive what happens, and so their load does.
    pub fn servers_stay(&self) -> bool {
        self.stops > 0
    }

    /// What a server keeps its rows with, if they are in its directory.
    pub fn adapter(&self) -> Adapter {
        match self.engine.as_deref() {
            Some("fjall") => Adapter::Fjall,
            Some("sled") | None => Adapter::Sled,
            Some(other) => panic!("CRASH_ENGINE is {other:?}, must be sled, fjall or postgres"),
        }
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
