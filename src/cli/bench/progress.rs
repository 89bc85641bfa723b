//! How far a run has come, for people who wait.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use tokio::time::{Instant, interval};

use super::ledger::Ledger;

/// A bar on standard error, if that is a terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn start() -> Self {
        let bar = ProgressBar::new(1);
        let style = ProgressStyle::with_template("{msg:>9} {bar:40} {prefix}");
        bar.set_style(style.expect("the template is well-formed"));
        Self(bar)
    }

    /// Names what is under way.
    pub(super) fn phase(&self, name: &'static str) {
        self.0.set_prefix("");
        self.0.set_message(name);
    }

    /// Shows how publishing goes, until it is dropped.
    pub(super) async fn watch(
        &self,
        name: &'static str,
        ledger: &Mutex<Ledger>,
        duration: Duration,
    ) {
        self.phase(name);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.0.set_length(millis(duration));
        let start = Instant::now();
        let mut ticks = interval(Duration::from_millis(250));
        loop {
            ticks.tick().await;
            self.0.set_position(millis(start.elapsed().min(duration)));
            let acknowledged = ledger.lock().acknowledged();
            self.0.set_prefix(format!("{acknowledged} events"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
