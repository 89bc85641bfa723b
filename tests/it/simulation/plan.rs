//! What a seed decides before anything happens: how large the world is, and what
//! may go wrong in it. Some worlds are calm, so that rules can be strict there.

use std::{env, num::NonZeroU32, time::Duration};

use postrider::{dispatch::Settings, domain::DisableAfter};

use super::{dice::Dice, planted::Bug};

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub struct Plan {
    pub seed: u64,
    pub bug: Option<Bug>,
    pub tenants: u64,
    /// Subscriptions at the beginning.
    pub subscriptions: u64,
    /// Lives before the last one, in which everything heals.
    pub lives: u64,
    /// About how long each takes, in seconds.
    pub seconds: u64,
    /// Pause between two publishes of a tenant, at most, in milliseconds.
    pub publish_pause: u64,
    /// Whether lives end by crashes, or else by drains.
    pub crashes: bool,
    /// Whether the wall clock is set.
    pub jumps: bool,
    /// Whether somebody steps in.
    pub operator: bool,
    /// Whether the disk gets full.
    pub full_disk: bool,
    /// Whether receivers fail.
    pub faults: bool,
    /// Whether the store cannot be read now and then.
    pub unreadable: bool,
}

impl Plan {
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut dice = Dice::new(seed, "plan");
        Self {
            seed,
            bug,
            tenants: dice.between(1, 3),
            subscriptions: dice.between(1, 5),
            lives: dice.between(1, 3),
            seconds: dice.between(8, 50),
            publish_pause: dice.between(1_000, 8_000),
            crashes: dice.chance(75),
            jumps: dice.chance(30),
            operator: dice.chance(70),
            full_disk: dice.chance(25),
            faults: dice.chance(90),
            unreadable: dice.chance(30),
        }
    }

    /// The bounds of a life's dispatcher.
    pub fn settings(dice: &mut Dice) -> Settings {
        let disable_after = dice.chance(30).then(|| dice.between(10, 60));
        Settings {
            max_in_flight: *dice.pick(&[1, 2, 4, 16, 64]),
            window: *dice.pick(&[16, 20, 64, 1_024]),
            max_waiting: *dice.pick(&[16, 64, 4_096]),
            max_waiting_bytes: *dice.pick(&[0, 300, 1 << 20]),
            disable_after: disable_after
                .and_then(|minutes| DisableAfter::new(Duration::from_mins(minutes))),
        }
    }
}

/// The seeds that a run tries.
pub fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name: &str| {
        let text = env::var(name).ok()?;
        Some(
            text.parse()
                .unwrap_or_else(|_| panic!("{name} must be a number")),
        )
    };
    let first = number("SIMULATION_FROM").unwrap_or(1);
    first..first + number("SIMULATION_SEEDS").unwrap_or(count)
}

/// A number that is not zero.
pub fn positive(number: u64) -> NonZeroU32 {
    NonZeroU32::new(u32::try_from(number).unwrap()).unwrap()
}
