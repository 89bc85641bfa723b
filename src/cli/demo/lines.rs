//! The lines of the demo as text, 80 columns wide.

use std::time::Duration;

use console::{Alignment, Style, pad_str, style, truncate_str};

use super::Outcome;
use crate::{
    cli::duration::show,
    proto::{Attempt, AttemptOutcome, ErrorKind},
};

/// Names of the columns.
pub(super) fn header() -> String {
    let columns = columns(["TIME", "EVENT", "ATTEMPT", "ANSWER", "TOOK", "THEN"]);
    style(columns).dim().to_string()
}

/// One attempt; `start_nanos` is what its time counts from.
pub(super) fn attempt(attempt: &Attempt, start_nanos: u64) -> String {
    let succeeded = attempt.outcome() == AttemptOutcome::Succeeded;
    let began = attempt.start_time.as_ref().map_or(0, nanos_of);
    let since = Duration::from_nanos(began.saturating_sub(start_nanos));
    let took = attempt.duration.as_ref().map_or(0, |duration| {
        nanos_of(&prost_types::Timestamp {
            seconds: duration.seconds,
            nanos: duration.nanos,
        })
    });
    let next = attempt.next_attempt_time.as_ref().map(|next| {
        let wait = nanos_of(next).saturating_sub(began + took);
        Duration::from_nanos(wait)
    });
    let then = match next {
        Some(wait) => style(format!("retry in {:.1} s", wait.as_secs_f64())).yellow(),
        None if succeeded => style("delivered".to_owned()).green(),
        None => style("given up".to_owned()).red(),
    };
    let (mark, colour) = if succeeded {
        ("✔", Style::new().green())
    } else {
        ("✘", Style::new().red())
    };
    let answer = format!("{mark} {}", answer(attempt));
    columns([
        &style(format!("+{:.3} s", since.as_secs_f64()))
            .dim()
            .to_string(),
        &truncate_str(&attempt.event_type, 17, "…"),
        &attempt.number.to_string(),
        &colour.apply_to(answer).to_string(),
        &show(Duration::from_nanos(took)),
        &then.to_string(),
    ])
}

/// What came of it all.
pub(super) fn summary(outcome: &Outcome) -> String {
    let Outcome {
        published,
        delivered,
        attempts,
        took,
        ..
    } = outcome;
    format!(
        "{} {delivered} of {published} events delivered in {attempts} attempts and {:.1} s, \
         every signature verified",
        if delivered == published {
            style("✔").green()
        } else {
            style("✘").red()
        },
        took.as_secs_f64()
    )
}

/// A line of what was set up.
pub(super) fn step(name: &str, text: &str) -> String {
    let mark = match name {
        "" => " ".to_owned(),
        _ => style("✔").green().to_string(),
    };
    format!("  {mark} {} {text}", style(format!("{name:<11}")).bold())
}

/// The answer in a word: its status, or why there was none.
fn answer(attempt: &Attempt) -> String {
    if attempt.response_status > 0 {
        return attempt.response_status.to_string();
    }
    match attempt.error_kind() {
        ErrorKind::Dns => "no address",
        ErrorKind::Connect => "unreachable",
        ErrorKind::Tls => "no TLS",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Reset => "cut off",
        ErrorKind::ResponseTooLarge => "too large",
        ErrorKind::Protocol => "not HTTP",
        _ => "no answer",
    }
    .to_owned()
}

fn columns(cells: [&str; 6]) -> String {
    const WIDTHS: [(usize, Alignment); 6] = [
        (9, Alignment::Right),
        (17, Alignment::Left),
        (7, Alignment::Right),
        (13, Alignment::Left),
        (8, Alignment::Right),
        (0, Alignment::Left),
    ];
    let cells = cells.iter().zip(WIDTHS);
    let padded = cells.map(|(cell, (width, alignment))| pad_str(cell, width, alignment, None));
    format!("  {}", padded.collect::<Vec<_>>().join("  "))
}

/// Nanoseconds since the Unix epoch.
pub(super) fn nanos_of(time: &prost_types::Timestamp) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.nanos).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn at(seconds: i64, nanos: i32) -> Timestamp {
        Timestamp { seconds, nanos }
    }

    fn example(number: u32, status: u32, next: Option<Timestamp>) -> Attempt {
        let outcome = match status {
            200..300 => AttemptOutcome::Succeeded,
            _ => AttemptOutcome::Failed,
        };
        Attempt {
            event_type: "payment.captured".into(),
            number,
            response_status: status,
            outcome: outcome.into(),
            error_kind: ErrorKind::Connect.into(),
            start_time: Some(at(100, 250_000_000)),
            duration: Some(prost_types::Duration {
                seconds: 0,
                nanos: 1_240_000,
            }),
            next_attempt_time: next,
            ..Attempt::default()
        }
    }

    #[test]
    fn attempts_stand_in_columns() {
        console::set_colors_enabled(false);
        let long = Attempt {
            event_type: "a.type.that.is.longer.than.its.column".into(),
            ..example(15, 0, None)
        };
        let lines = [
            header(),
            attempt(
                &example(1, 500, Some(at(101, 251_240_000))),
                100_000_000_000,
            ),
            attempt(&example(2, 200, None), 100_000_000_000),
            attempt(&long, 0),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
             TIME  EVENT              ATTEMPT  ANSWER             TOOK  THEN
         +0.250 s  payment.captured         1  ✘ 500            1.2 ms  retry in 1.0 s
         +0.250 s  payment.captured         2  ✔ 200            1.2 ms  delivered
        +100.250 s  a.type.that.is.l…       15  ✘ unreachable    1.2 ms  given up
        ");
        for line in lines {
            assert!(console::measure_text_width(&line) <= 80, "{line}");
        }
    }

    #[test]
    fn the_summary_counts() {
        console::set_colors_enabled(false);
        let outcome = Outcome {
            published: 5,
            delivered: 5,
            attempts: 9,
            took: Duration::from_millis(4720),
            ..Outcome::default()
        };
        insta::assert_snapshot!(summary(&outcome), @r"
        ✔ 5 of 5 events delivered in 9 attempts and 4.7 s, every signature verified
        ");
    }
}
