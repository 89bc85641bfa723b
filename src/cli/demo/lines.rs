//! The lines of the demo as text, 80 columns wide or as narrow as the terminal.

use std::time::Duration;

use console::{Alignment, Style, measure_text_width, pad_str, style, truncate_str};

use super::Outcome;
use crate::{
    cli::duration::show,
    proto::{Attempt, AttemptOutcome, ErrorKind},
};

/// Columns of a terminal that has room for everything.
pub(super) const WIDTH: usize = 80;

/// Columns of an attempt: wide, and where there is less room; some do without.
const WIDE: Columns = [
    Some((9, Alignment::Right)),
    Some((17, Alignment::Left)),
    Some((7, Alignment::Right)),
    Some((13, Alignment::Left)),
    Some((8, Alignment::Right)),
    Some((0, Alignment::Left)),
];
const NARROW: Columns = [
    Some((9, Alignment::Right)),
    Some((16, Alignment::Left)),
    Some((2, Alignment::Right)),
    Some((13, Alignment::Left)),
    None,
    Some((0, Alignment::Left)),
];

type Columns = [Option<(usize, Alignment)>; 6];

/// Names of the columns.
pub(super) fn header(width: usize) -> String {
    let number = if width < WIDTH { "#" } else { "ATTEMPT" };
    let columns = columns(["TIME", "EVENT", number, "ANSWER", "TOOK", "THEN"], width);
    style(columns).dim().to_string()
}

/// One attempt; `start_nanos` is what its time counts from.
pub(super) fn attempt(attempt: &Attempt, start_nanos: u64, width: usize) -> String {
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
    let since = style(format!("+{:.3} s", since.as_secs_f64())).dim();
    let cells = [
        &since.to_string(),
        &attempt.event_type,
        &attempt.number.to_string(),
        &colour.apply_to(answer).to_string(),
        &show(Duration::from_nanos(took)),
        &then.to_string(),
    ];
    columns(cells.map(String::as_str), width)
}

/// What came of it all.
pub(super) fn summary(outcome: &Outcome, width: usize) -> String {
    let Outcome {
        published,
        delivered,
        attempts,
        took,
        ..
    } = outcome;
    let mark = if delivered == published {
        style("✔").green()
    } else {
        style("✘").red()
    };
    let text = format!(
        "{delivered} of {published} events delivered in {attempts} attempts and {:.1} s, every \
         signature verified",
        took.as_secs_f64()
    );
    format!("  {mark} {}", wrapped(&text, 4, width))
}

/// What was set up.
pub(super) fn step(name: &str, text: &str, width: usize) -> String {
    let mark = style("✔").green();
    let name = style(format!("{name:<11}")).bold();
    format!("  {mark} {name} {}", wrapped(text, 16, width))
}

/// A remark that is not part of the story.
pub(super) fn note(text: &str, width: usize) -> String {
    format!("  {}", style(wrapped(text, 2, width)).dim())
}

/// The text, broken between words where it does not fit, and indented but for
/// its first line.
fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a first line");
        let length = measure_text_width(line) + 1 + measure_text_width(word);
        if line.is_empty() {
            line.push_str(word);
        } else if indent + length <= width {
            *line += " ";
            *line += word;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
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
        ErrorKind::Refused => "refused",
        _ => "no answer",
    }
    .to_owned()
}

fn columns(cells: [&str; 6], width: usize) -> String {
    let (columns, gap) = if width < WIDTH {
        (NARROW, " ")
    } else {
        (WIDE, "  ")
    };
    let padded = cells.iter().zip(columns).filter_map(|(cell, column)| {
        let (width, alignment) = column?;
        // Only the type of an event can be of any length.
        let cell = match alignment {
            Alignment::Left if width > 0 => truncate_str(cell, width, "…"),
            _ => (*cell).into(),
        };
        Some(pad_str(&cell, width, alignment, None).into_owned())
    });
    let line = format!("  {}", padded.collect::<Vec<_>>().join(gap));
    truncate_str(&line, width, "…").into_owned()
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
        let lines = |width| {
            [
                header(width),
                attempt(
                    &example(1, 500, Some(at(101, 251_240_000))),
                    100_000_000_000,
                    width,
                ),
                attempt(&example(2, 200, None), 100_000_000_000, width),
                attempt(&long, 0, width),
            ]
        };
        insta::assert_snapshot!(lines(80).join("\n"), @r"
             TIME  EVENT              ATTEMPT  ANSWER             TOOK  THEN
         +0.250 s  payment.captured         1  ✘ 500            1.2 ms  retry in 1.0 s
         +0.250 s  payment.captured         2  ✔ 200            1.2 ms  delivered
        +100.250 s  a.type.that.is.l…       15  ✘ unreachable    1.2 ms  given up
        ");
        insta::assert_snapshot!(lines(60).join("\n"), @r"
             TIME EVENT             # ANSWER        THEN
         +0.250 s payment.captured  1 ✘ 500         retry in 1.0 s
         +0.250 s payment.captured  2 ✔ 200         delivered
        +100.250 s a.type.that.is.… 15 ✘ unreachable given up
        ");
        for width in [80, 60, 40] {
            for line in lines(width) {
                assert!(measure_text_width(&line) <= width, "{line}");
            }
        }
    }

    #[test]
    fn longer_texts_are_broken_between_words() {
        console::set_colors_enabled(false);
        let text = "http://127.0.0.1:1/webhooks, verifies every signature, answers 500";
        insta::assert_snapshot!(step("receiver", text, 60), @r"
          ✔ receiver    http://127.0.0.1:1/webhooks, verifies every
                        signature, answers 500
        ");
        assert_eq!(step("data", "/a/b", 60), "  ✔ data        /a/b");
        assert_eq!(note("one two", 8), "  one\n  two");
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
        assert_eq!(
            summary(&outcome, 80),
            "  ✔ 5 of 5 events delivered in 9 attempts and 4.7 s, every signature verified"
        );
        assert_eq!(
            summary(&outcome, 60),
            "  ✔ 5 of 5 events delivered in 9 attempts and 4.7 s, every\n    signature verified"
        );
    }
}
