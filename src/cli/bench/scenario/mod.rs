//! `bench --scenario`: one kind of trouble, and what a promise about it comes
//! to. Each module measures one and writes its report.

mod neighbours;
mod options;
mod overload;
mod recovery;
mod timers;

use std::fmt::Display;

use serde::Serialize;

use self::neighbours::Trouble;
pub(super) use self::options::{Options, Scenario, check};
use super::{Args, Told, rig::Rig};
use crate::cli::child::Receiver;

/// Measures the scenario and writes what came of it.
pub(super) async fn measure(
    scenario: Scenario,
    args: &Args,
    rig: &mut Rig,
) -> anyhow::Result<Told> {
    let trouble = match scenario {
        Scenario::DeadEndpoints => Trouble::Dead,
        Scenario::HangingEndpoints => Trouble::Hanging,
        Scenario::SlowReceivers => Trouble::Slow,
        Scenario::EndlessBodies => Trouble::Endless,
        Scenario::NoisyTenant => Trouble::Noisy,
        Scenario::Timers => {
            let report = timers::measure(args, rig).await?;
            return tell(&report, report.published, args);
        }
        Scenario::Recovery => {
            let report = recovery::measure(args, rig).await?;
            return tell(&report, report.published, args);
        }
        Scenario::Overload => {
            let report = overload::measure(args, rig).await?;
            return tell(&report, report.published, args);
        }
    };
    let report = neighbours::measure(scenario.name(), trouble, args, rig).await?;
    tell(&report, report.published(), args)
}

fn receiver_of(rig: &Rig) -> &Receiver {
    let receiver = rig.receiver();
    receiver.expect("only --publish-only goes without, and not with a scenario")
}

fn tell(report: &(impl Serialize + Display), published: u64, args: &Args) -> anyhow::Result<Told> {
    let text = if args.json {
        serde_json::to_string(report)? + "\n"
    } else {
        report.to_string()
    };
    Ok(Told {
        text,
        acknowledged: published,
    })
}
