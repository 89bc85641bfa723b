//! How values are written: each format reads text from any source, writes TOML
//! and says what it takes.

use std::{
    fmt::Display, marker::PhantomData, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration,
};

use tracing_subscriber::EnvFilter;

use super::units::{DAY, KIB, MIB, SECOND, parse_period, parse_size, write_period, write_size};

/// Sizes and durations that serve as examples.
const SIZES: [u64; 2] = [64 * MIB, 256 * KIB];
const PERIODS: [u64; 2] = [10 * SECOND, 30 * DAY];

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A way to write values of one type.
pub(super) trait Format {
    /// The type.
    type Value;
    /// Whether a text that is no value is not to be shown either.
    const IS_SECRET: bool = false;
    /// The value that the text stands for, if it is one and within the bounds.
    fn parse(text: &str) -> Option<Self::Value>;
    /// The value as TOML.
    fn write(value: &Self::Value) -> String;
    /// Which texts are values, as the end of "must be ...".
    fn expected() -> String;
}

/// Values that are chosen from a list of names.
pub(super) trait Named: Copy + PartialEq + 'static {
    /// Every value with its name.
    const ALL: &[(&'static str, Self)];
}

/// Name of a storage engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineName {
    /// sled, embedded.
    Sled,
    /// fjall, embedded.
    Fjall,
    /// PostgreSQL, shared by any number of processes.
    Postgres,
}

impl Named for EngineName {
    const ALL: &[(&'static str, Self)] = &[
        ("sled", Self::Sled),
        ("fjall", Self::Fjall),
        ("postgres", Self::Postgres),
    ];
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Who shows an API key.
    Keys,
    /// Anybody.
    None,
}

impl Named for AuthMode {
    const ALL: &[(&'static str, Self)] = &[("keys", Self::Keys), ("none", Self::None)];
}

/// Shape of the log's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Named for LogFormat {
    const ALL: &[(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("text", Self::Text),
        ("json", Self::Json),
    ];
}

/// Whether clients have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// They have to.
    Required,
    /// Those that show none are served, too.
    Optional,
}

impl Named for ClientAuth {
    const ALL: &[(&'static str, Self)] =
        &[("required", Self::Required), ("optional", Self::Optional)];
}

/// Yes or no.
pub(super) struct Switch;

impl Format for Switch {
    type Value = bool;

    fn parse(text: &str) -> Option<bool> {
        text.parse().ok()
    }

    fn write(value: &bool) -> String {
        value.to_string()
    }

    fn expected() -> String {
        "true or false".to_owned()
    }
}

/// A value that may be left out.
pub(super) struct Optional<F>(PhantomData<F>);

impl<F: Format> Format for Optional<F> {
    type Value = Option<F::Value>;
    const IS_SECRET: bool = F::IS_SECRET;

    fn parse(text: &str) -> Option<Self::Value> {
        if text.is_empty() {
            return Some(None);
        }
        F::parse(text).map(Some)
    }

    fn write(value: &Self::Value) -> String {
        value.as_ref().map_or_else(|| quoted(""), F::write)
    }

    fn expected() -> String {
        format!("empty, or {}", F::expected())
    }
}

/// An address to listen on.
pub(super) struct Address;

impl Format for Address {
    type Value = SocketAddr;

    fn parse(text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }

    fn write(value: &SocketAddr) -> String {
        quoted(value)
    }

    fn expected() -> String {
        "an IP address and a port, such as 127.0.0.1:50051 or [::1]:50051".to_owned()
    }
}

/// A path.
pub(super) struct Path;

impl Format for Path {
    type Value = PathBuf;

    fn parse(text: &str) -> Option<PathBuf> {
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    fn write(value: &PathBuf) -> String {
        quoted(value.display())
    }

    fn expected() -> String {
        "a path".to_owned()
    }
}

/// One of a list of names.
pub(super) struct Choice<T>(PhantomData<T>);

impl<T: Named> Format for Choice<T> {
    type Value = T;

    fn parse(text: &str) -> Option<T> {
        let (_, value) = T::ALL.iter().find(|(name, _)| *name == text)?;
        Some(*value)
    }

    fn write(value: &T) -> String {
        let named = T::ALL.iter().find(|(_, other)| other == value);
        let (name, _) = named.expect("ALL holds every value");
        quoted(name)
    }

    fn expected() -> String {
        let names: Vec<_> = T::ALL.iter().map(|(name, _)| quoted(name)).collect();
        match names.as_slice() {
            [only] => only.clone(),
            [others @ .., last] => format!("{} or {last}", others.join(", ")),
            [] => "nothing at all".to_owned(),
        }
    }
}

/// A whole number within bounds.
pub(super) struct Count<T, const MIN: u64, const MAX: u64>(PhantomData<T>);

impl<T, const MIN: u64, const MAX: u64> Format for Count<T, MIN, MAX>
where
    T: FromStr + Display + Copy + TryInto<u64>,
{
    type Value = T;

    fn parse(text: &str) -> Option<T> {
        let value: T = text.parse().ok()?;
        let number = value.try_into().ok()?;
        (MIN..=MAX).contains(&number).then_some(value)
    }

    fn write(value: &T) -> String {
        value.to_string()
    }

    fn expected() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }
}

/// A size within bounds, which are in bytes.
pub(super) struct Size<T, const MIN: u64, const MAX: u64>(PhantomData<T>);

impl<T, const MIN: u64, const MAX: u64> Format for Size<T, MIN, MAX>
where
    T: Copy + TryFrom<u64> + TryInto<u64>,
{
    type Value = T;

    fn parse(text: &str) -> Option<T> {
        let bytes = parse_size(text).filter(|bytes| (MIN..=MAX).contains(bytes))?;
        T::try_from(bytes).ok()
    }

    fn write(value: &T) -> String {
        quoted(write_size((*value).try_into().unwrap_or(u64::MAX)))
    }

    fn expected() -> String {
        let [min, max] = [MIN, MAX].map(write_size);
        let example = write_size(example(&SIZES, MIN, MAX));
        format!("a size in B, KiB, MiB or GiB from {min} to {max}, such as \"{example}\"")
    }
}

/// A duration within bounds, which are in milliseconds.
pub(super) struct Period<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Format for Period<MIN, MAX> {
    type Value = Duration;

    fn parse(text: &str) -> Option<Duration> {
        let bounds = Duration::from_millis(MIN)..=Duration::from_millis(MAX);
        parse_period(text).filter(|period| bounds.contains(period))
    }

    fn write(value: &Duration) -> String {
        quoted(write_period(*value))
    }

    fn expected() -> String {
        let [min, max, example] = [MIN, MAX, example(&PERIODS, MIN, MAX)]
            .map(|millis| write_period(Duration::from_millis(millis)));
        format!("a duration in ms, s, m, h or d from {min} to {max}, such as \"{example}\"")
    }
}

/// A filter for the log.
pub(super) struct Filter;

impl Format for Filter {
    type Value = String;

    fn parse(text: &str) -> Option<String> {
        // A bare word that is no level would be taken for a target's name, and
        // a misspelt level would silence everything.
        let is_level = |part: &str| LEVELS.contains(&part);
        let directives_hold = text
            .split(',')
            .all(|part| part.contains(['=', '[']) || is_level(part));
        // The parser panics on some other characters (tracing-subscriber 0.3.23,
        // which counts from a trimmed text and cuts the whole one).
        let may_be_parsed = text.is_ascii() && directives_hold;
        let valid = may_be_parsed && EnvFilter::builder().parse(text).is_ok();
        valid.then(|| text.to_owned())
    }

    fn write(value: &String) -> String {
        quoted(value)
    }

    fn expected() -> String {
        "off, error, warn, info, debug or trace, optionally followed by levels for parts, \
         such as \"info,postrider::dispatch=debug\""
            .to_owned()
    }
}

/// The first of the values between the bounds, so that nobody takes the largest
/// one for advice.
fn example(values: &[u64], min: u64, max: u64) -> u64 {
    let within = values.iter().find(|value| (min..max).contains(value));
    within.copied().unwrap_or(min)
}

pub(super) fn quoted(value: impl Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused() {
        for wrong in [
            "",
            "infoo",
            "info,debgu",
            "info,postrider=debgu",
            "  a=b\u{fffd}[&",
        ] {
            assert_eq!(Filter::parse(wrong), None, "{wrong}");
        }
        for right in ["info", "off", "warn,postrider::dispatch=debug"] {
            assert_eq!(Filter::parse(right).as_deref(), Some(right));
        }
    }

    #[test]
    fn bounds_belong_to_the_values() {
        type Small = Count<u32, 2, 4>;
        type Brief = Period<1_000, 2_000>;
        assert_eq!(
            ["1", "2", "4", "5"].map(Small::parse),
            [None, Some(2), Some(4), None]
        );
        assert_eq!(Brief::parse("999ms"), None);
        assert_eq!(Brief::parse("2s"), Some(Duration::from_secs(2)));
    }
}
