//! Logs: events with fields, to standard error, as text or JSON. A panic is an
//! event like any other.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    io::{IsTerminal, stderr},
    panic::{self, PanicHookInfo},
};

use tracing::field::display;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("log.level is no filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process already logs somewhere.
    #[error("logging has already been started")]
    Started(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging, for the whole process and once.
pub fn start(log: &Log) -> Result<(), Error> {
    let filter = EnvFilter::builder().parse(&log.level)?;
    let terminal = stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = fmt::layer().with_writer(stderr);
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        let lines = lines.json().flatten_event(true).with_span_list(false);
        registry.with(lines).try_init()?;
    } else {
        registry.with(lines.with_ansi(terminal)).try_init()?;
    }
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| display(&backtrace));
    let reason = reason(panic.payload());
    tracing::error!(location, reason, backtrace, "panicked");
}

/// What `panic!` was called with.
fn reason(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_panic_is_its_text() {
        let caught = panic::catch_unwind(|| panic::panic_any("plain")).unwrap_err();
        assert_eq!(reason(&*caught), "plain");
        let caught = panic::catch_unwind(|| panic::panic_any(format!("{}", 1))).unwrap_err();
        assert_eq!(reason(&*caught), "1");
        let caught = panic::catch_unwind(|| panic::panic_any(7)).unwrap_err();
        assert_eq!(reason(&*caught), "no text");
    }
}
