//! Sizes and durations as text: `64MiB`, `500ms`.

use std::time::Duration;

/// Bytes in a KiB.
pub(super) const KIB: u64 = 1024;
/// Bytes in a MiB.
pub(super) const MIB: u64 = 1024 * KIB;
/// Bytes in a GiB.
pub(super) const GIB: u64 = 1024 * MIB;
/// Milliseconds in a second.
pub(super) const SECOND: u64 = 1000;
/// Milliseconds in a minute.
const MINUTE: u64 = 60 * SECOND;
/// Milliseconds in an hour.
pub(super) const HOUR: u64 = 60 * MINUTE;
/// Milliseconds in a day.
pub(super) const DAY: u64 = 24 * HOUR;

const SIZES: [(&str, u64); 4] = [("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)];
const PERIODS: [(&str, u64); 5] = [
    ("d", DAY),
    ("h", HOUR),
    ("m", MINUTE),
    ("s", SECOND),
    ("ms", 1),
];

/// The number of bytes that a text such as `64MiB` stands for.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// The shortest exact text of a number of bytes.
pub(super) fn write_size(bytes: u64) -> String {
    write(bytes, &SIZES)
}

/// The duration that a text such as `10s` stands for.
pub(super) fn parse_period(text: &str) -> Option<Duration> {
    parse(text, &PERIODS).map(Duration::from_millis)
}

/// The shortest exact text of a duration of whole milliseconds.
pub(super) fn write_period(period: Duration) -> String {
    let millis = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
    write(millis, &PERIODS)
}

/// A whole number and its unit, with or without a space between them.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn write(value: u64, units: &[(&str, u64)]) -> String {
    let (name, factor) = units
        .iter()
        .find(|(_, factor)| value > 0 && value.is_multiple_of(*factor))
        .unwrap_or(&units[units.len() - 1]);
    format!("{}{name}", value / factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        assert_eq!(parse_size("64MiB"), Some(64 * MIB));
        assert_eq!(parse_size("1 KiB"), Some(KIB));
        assert_eq!(parse_size("12B"), Some(12));
        for wrong in [
            "",
            "64",
            "64MB",
            "MiB",
            "-1B",
            "1.5KiB",
            "64mib",
            "99999999999GiB",
        ] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_period_is_a_number_and_a_unit() {
        assert_eq!(parse_period("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_period("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_period("2h"), Some(Duration::from_hours(2)));
        assert_eq!(parse_period("30d"), Some(Duration::from_hours(720)));
        for wrong in ["", "10", "s", "1w", "1h30m", "-1s"] {
            assert_eq!(parse_period(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value: u32) {
            let value = u64::from(value);
            prop_assert_eq!(parse_size(&write_size(value)), Some(value));
            let period = Duration::from_millis(value);
            prop_assert_eq!(parse_period(&write_period(period)), Some(period));
        }
    }
}
