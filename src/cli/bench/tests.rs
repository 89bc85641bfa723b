use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn parse(options: &[&str]) -> Result<Args, clap::Error> {
    let command = Command::try_parse_from(["bench"].iter().chain(options))?;
    Ok(command.args)
}

#[test]
fn a_connection_is_opened_for_each_64_events_under_way() {
    let connections = |options| parse(options).unwrap().connections();
    assert_eq!(connections(&[]), 4);
    assert_eq!(connections(&["--concurrency", "1000"]), 16);
    assert_eq!(connections(&["--concurrency", "2"]), 2);
    assert_eq!(connections(&["--connections", "7"]), 7);
}

#[test]
fn a_rate_of_zero_is_no_rate() {
    assert_eq!(parse(&[]).unwrap().rate(), None);
    assert_eq!(parse(&["--rate", "50"]).unwrap().rate(), Some(50.0));
}

#[test]
fn what_cannot_be_run_is_refused() {
    for options in [
        &["--concurrency", "0"][..],
        &["--fan-out", "0"],
        &["--duration", "10"],
        &["--publish-only", "--in-flight", "8"],
        &["--server-pid", "1"],
        &["--pairs", "2"],
        &["--scenario", "timers", "--in-flight", "8"],
        &["--scenario", "timers", "--skip-limit"],
        &["--scenario", "slow-receivers", "--subscriptions", "9"],
    ] {
        assert!(parse(options).is_err(), "{options:?}");
    }
}

#[test]
fn flags_that_do_not_go_with_the_scenario_are_refused() {
    let check = |options: &[&str]| scenario::check(&parse(options).unwrap());
    for options in [
        &["timers", "--pairs", "2"][..],
        &["timers", "--rate", "50"],
        &["timers", "--rate-limit", "50"],
        &["recovery", "--duration", "10s"],
        &["recovery", "--fan-out", "2"],
        &["slow-receivers", "--backlog", "9"],
        &["slow-receivers", "--events", "9"],
        &["dead-endpoints", "--answer-after", "1s"],
        &["recovery", "--subscriptions", "10"],
        &["overload", "--fan-out", "2"],
    ] {
        let refused = check(&[&["--scenario"], options].concat());
        let told = refused.unwrap_err().to_string();
        let expected = format!("{} does not go with --scenario {}", options[1], options[0]);
        assert_eq!(told, expected);
    }
}

#[test]
fn flags_that_go_with_the_scenario_are_taken() {
    let check = |options: &[&str]| scenario::check(&parse(options).unwrap());
    for options in [
        &["--fan-out", "2", "--rate", "9"][..],
        &["--scenario", "timers", "--events", "9", "--fan-out", "2"],
        &["--scenario", "recovery", "--rate-limit", "9"],
        &["--scenario", "dead-endpoints", "--backlog", "9"],
        &["--scenario", "hanging-endpoints", "--rate", "9"],
        &["--scenario", "overload", "--duration", "9s"],
    ] {
        check(options).unwrap();
    }
}
