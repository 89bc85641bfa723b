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
    ] {
        assert!(parse(options).is_err(), "{options:?}");
    }
}
