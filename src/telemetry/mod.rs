//! Logs: events with fields, to standard error, as text or JSON. A panic is an
//! event like any other.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    io::{IsTerminal, stderr},
    panic::{self, PanicHookInfo},
};

use tracing::{Level, Metadata, field::display};
use tracing_subscriber::{
    EnvFilter,
    filter::{ParseError, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat};

/// Logs an error for each certificate that does not verify. Those are receivers'
/// and stand in the log of attempts, so they must not fill ours.
const CERTIFICATES: &str = "rustls_platform_verifier";

/// Below `info`, these log the rows that they write.
const TELL_ROWS: [&str; 2] = ["sled", "tokio_postgres"];

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("log.level is no filter")]
    Filter(#[from] ParseError),
    /// The process already logs somewhere.
    #[error("logging has already been started")]
    Started(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging, for the whole process and once.
pub fn start(log: &Log) -> Result<(), Error> {
    let filter = filter(&log.level)?;
    let terminal = stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = fmt::layer().with_writer(stderr);
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(tells_no_rows));
    if json {
        let lines = lines.json().flatten_event(true).with_span_list(false);
        registry.with(lines).try_init()?;
    } else {
        registry.with(lines.with_ansi(terminal)).try_init()?;
    }
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Whether a line is one that holds no payloads and secrets, whatever level was
/// asked for.
fn tells_no_rows(line: &Metadata<'_>) -> bool {
    let origin = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::INFO || !TELL_ROWS.contains(&origin)
}

/// The filter of a level, which shows what receivers' certificates lack only to
/// those who debug or name that part themselves.
fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    let debugs = level
        .split(',')
        .any(|part| matches!(part, "debug" | "trace"));
    if debugs {
        return EnvFilter::builder().parse(level);
    }
    // What comes later counts.
    EnvFilter::builder().parse(format!("{CERTIFICATES}=off,{level}"))
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
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Layer;

    use super::*;

    /// Keeps the targets of events that get through.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Kept {
        fn on_event(
            &self,
            event: &tracing::Event<'_>,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            let target = event.metadata().target().to_owned();
            self.0.lock().unwrap().push(target);
        }
    }

    /// Which of our own errors and of the certificates' are shown at a level.
    fn shown(level: &str) -> Vec<String> {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::registry()
            .with(filter(level).unwrap())
            .with(kept.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "postrider::dispatch", "ours");
            tracing::error!(target: "rustls_platform_verifier::verification", "theirs");
        });
        kept.0.lock().unwrap().clone()
    }

    #[test]
    fn certificates_of_receivers_are_logged_only_where_that_is_asked_for() {
        let ours = "postrider::dispatch";
        let theirs = "rustls_platform_verifier::verification";
        for level in ["info", "warn", "error", "info,postrider::grpc=debug"] {
            assert_eq!(shown(level), [ours], "{level}");
        }
        for level in [
            "debug",
            "trace",
            "info,rustls_platform_verifier=error",
            "rustls_platform_verifier=error,info",
        ] {
            assert_eq!(shown(level), [ours, theirs], "{level}");
        }
        assert_eq!(shown("off"), [""; 0]);
    }

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
