//! How far a copy has come, for people who wait: a bar on a terminal, a line for
//! every percent elsewhere.

use console::Term;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{bootstrap::offline::Progress, cli::figure::count};

/// Where progress is shown: standard error.
pub(super) struct Bar {
    term: Term,
    records: ProgressBar,
    /// The percent that was told last.
    told: Option<u64>,
}

impl Bar {
    pub(super) fn start() -> Self {
        let records = ProgressBar::hidden();
        let template = "{bar:40} {percent} %, {human_pos} of {human_len} records, {eta} left";
        let style = ProgressStyle::with_template(template);
        records.set_style(style.expect("the template is well-formed"));
        Self {
            term: Term::stderr(),
            records,
            told: None,
        }
    }

    pub(super) fn show(&mut self, progress: Progress) {
        let Progress { done, total } = progress;
        if self.told.is_none() && done > 0 {
            let line = format!("going on after {} of {} records", count(done), count(total));
            self.line(&line);
        }
        let percent = percent(progress);
        if !self.term.is_term() {
            if self.told.is_some_and(|told| told < percent) {
                let line = format!("{percent} %: {} of {} records", count(done), count(total));
                self.line(&line);
            }
        } else if self.told.is_none() {
            self.records.set_length(total);
            // What was copied before says nothing about how fast it goes.
            self.records.set_position(done);
            self.records.reset_eta();
            self.records
                .set_draw_target(indicatif::ProgressDrawTarget::stderr());
        } else {
            self.records.set_position(done.min(total));
        }
        self.told = Some(percent);
    }

    /// Progress that nobody reads is no reason to stop.
    fn line(&self, text: &str) {
        let _ = self.term.write_line(text);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.records.finish_and_clear();
    }
}

/// A store may hold a record that no count tells, so that there is never more.
fn percent(progress: Progress) -> u64 {
    let Progress { done, total } = progress;
    (done.min(total).saturating_mul(100))
        .checked_div(total)
        .unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_never_exceeds_the_whole() {
        for (done, total, expected) in [(0, 7, 0), (3, 7, 42), (8, 7, 100), (0, 0, 100)] {
            assert_eq!(percent(Progress { done, total }), expected);
        }
    }
}
