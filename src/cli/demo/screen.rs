//! Where the demo writes: colours and a spinner on a terminal, plain lines
//! elsewhere or if `NO_COLOR` is set.

use std::{io, time::Duration};

use console::{Term, style};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Outcome, lines};
use crate::proto::Attempt;

/// Standard output.
pub(super) struct Screen {
    term: Term,
    width: usize,
}

impl Screen {
    pub(super) fn stdout() -> Self {
        let term = Term::stdout();
        let columns = term.size_checked().map(|(_, columns)| usize::from(columns));
        // A terminal that does not know its width says 0.
        let width = columns.filter(|columns| *columns > 0);
        Self {
            term,
            width: width.unwrap_or(lines::WIDTH).min(lines::WIDTH),
        }
    }

    /// How many columns a line may have.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn title(&self) -> io::Result<()> {
        let name = style("Postrider demo").bold();
        self.term.write_line(&format!("\n  {name}\n"))
    }

    /// Shows on standard error that something is under way, on a terminal only.
    pub(super) fn spinner(what: &'static str) -> ProgressBar {
        let spinner = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("  {spinner} {msg}");
        spinner.set_style(style.expect("the template is well-formed"));
        spinner.set_message(what);
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner
    }

    pub(super) fn step(&self, name: &str, text: &str) -> io::Result<()> {
        self.term.write_line(&lines::step(name, text, self.width))
    }

    pub(super) fn header(&self) -> io::Result<()> {
        self.term.write_line(&lines::header(self.width))
    }

    pub(super) fn attempt(&self, attempt: &Attempt, start_nanos: u64) -> io::Result<()> {
        let line = lines::attempt(attempt, start_nanos, self.width);
        self.term.write_line(&line)
    }

    pub(super) fn summary(&self, outcome: &Outcome) -> io::Result<()> {
        self.term.write_line(&lines::summary(outcome, self.width))
    }

    pub(super) fn text(&self, text: &str) -> io::Result<()> {
        self.term.write_line(text)
    }

    /// A remark that is not part of the story.
    pub(super) fn note(&self, text: &str) -> io::Result<()> {
        self.term.write_line(&lines::note(text, self.width))
    }

    pub(super) fn blank(&self) -> io::Result<()> {
        self.term.write_line("")
    }
}
