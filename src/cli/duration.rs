//! Durations as arguments and as people read them.

use std::time::Duration;

/// Reads `250ms`, `10s`, `1.5s`, `2m` or `1h`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("must be a number with a unit: ms, s, m or h".into()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "must begin with a number, as in 1.5s".to_owned())?;
    Duration::try_from_secs_f64(number * unit_seconds)
        .map_err(|_| "must be a duration that is not negative".into())
}

/// Writes a duration with three digits or so: `850 µs`, `1.2 ms`, `2.0 s`.
pub(super) fn show(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    if micros < 1000.0 {
        format!("{micros:.0} µs")
    } else if micros < 1e6 {
        format!("{:.1} ms", micros / 1e3)
    } else {
        format!("{:.1} s", micros / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_a_unit_is_a_duration() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(parse("1h"), Ok(Duration::from_hours(1)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "10", "s", "-1s", "1 day", "nans"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_in_the_unit_that_fits() {
        assert_eq!(show(Duration::from_micros(850)), "850 µs");
        assert_eq!(show(Duration::from_micros(1234)), "1.2 ms");
        assert_eq!(show(Duration::from_secs(2)), "2.0 s");
    }
}
