//! Event types such as `order.shipped`, and the patterns that choose them.

use std::{fmt, str::FromStr, sync::Arc};

use super::Invalid;

const MAX_LENGTH: usize = 128;
/// Begins the types of Postrider's own events.
const RESERVED_PREFIX: &str = "postrider.";
const MAX_PATTERNS: usize = 100;

/// What happened: parts of `[A-Za-z0-9_-]` joined by dots, at most 128 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Arc<str>);

impl EventType {
    /// The type's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the type of Postrider's own events.
    pub fn is_operational(&self) -> bool {
        self.0.starts_with(RESERVED_PREFIX)
    }

    /// Checks that the type is one that publishers may use. Patterns may name
    /// the others too.
    pub fn check_publishable(self) -> Result<Self, Invalid> {
        if self.is_operational() {
            return Err(Invalid::new(format!(
                "must not begin with \"{RESERVED_PREFIX}\", which is reserved for events of \
                 Postrider itself"
            )));
        }
        Ok(self)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EventType {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("is required, such as \"order.shipped\""));
        }
        if text.len() > MAX_LENGTH {
            return Err(Invalid::new(format!(
                "must be at most {MAX_LENGTH} bytes, is {}",
                text.len()
            )));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if text
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(allowed))
        {
            Ok(Self(Arc::from(text)))
        } else {
            Err(Invalid::new(
                "must be parts of [A-Za-z0-9_-] joined by single dots, such as \"order.shipped\"",
            ))
        }
    }
}

/// Chooses event types.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventPattern {
    /// `order.shipped`: this type alone.
    Exact(EventType),
    /// `order.*`: every type below the prefix, at any depth.
    Below(EventType),
    /// `*`: every type.
    Any,
}

impl EventPattern {
    /// Whether the pattern chooses the type.
    pub fn matches(&self, event_type: &EventType) -> bool {
        match self {
            Self::Exact(exact) => exact == event_type,
            Self::Below(prefix) => event_type
                .as_str()
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.starts_with('.')),
            Self::Any => true,
        }
    }

    /// Length of its text, about.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Exact(of) | Self::Below(of) => of.as_str().len(),
            Self::Any => 1,
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => exact.fmt(f),
            Self::Below(prefix) => write!(f, "{prefix}.*"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl FromStr for EventPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let pattern = match text {
            "*" => return Ok(Self::Any),
            _ => match text.strip_suffix(".*") {
                Some(prefix) => prefix.parse().map(Self::Below),
                None => text.parse().map(Self::Exact),
            },
        };
        pattern.map_err(|_| {
            Invalid::new(
                "must be an event type (\"order.created\"), a prefix (\"order.*\") or \"*\", \
                 at most 128 bytes of [A-Za-z0-9_.-]",
            )
        })
    }
}

/// The patterns of a subscription: 1 to 100, without repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPatterns(Vec<EventPattern>);

impl EventPatterns {
    /// Keeps the patterns, sorted and each once.
    pub fn new(mut patterns: Vec<EventPattern>) -> Result<Self, Invalid> {
        patterns.sort();
        patterns.dedup();
        match patterns.len() {
            0 => Err(Invalid::new(
                "needs at least one pattern: \"order.created\", \"order.*\" or \"*\"",
            )),
            1..=MAX_PATTERNS => Ok(Self(patterns)),
            n => Err(Invalid::new(format!(
                "must be at most {MAX_PATTERNS} patterns, is {n}"
            ))),
        }
    }

    /// The patterns.
    pub fn as_slice(&self) -> &[EventPattern] {
        &self.0
    }

    /// Whether any pattern chooses the type. Postrider's own events go to those
    /// alone who name them, so `*` does not choose these.
    pub fn matches(&self, event_type: &EventType) -> bool {
        let names = |pattern: &&EventPattern| {
            **pattern != EventPattern::Any || !event_type.is_operational()
        };
        let mut naming = self.0.iter().filter(names);
        naming.any(|pattern| pattern.matches(event_type))
    }

    /// Whether some name Postrider's own events.
    pub fn name_operational(&self) -> bool {
        self.0.iter().any(|pattern| match pattern {
            EventPattern::Exact(named) => named.is_operational(),
            EventPattern::Below(prefix) => format!("{prefix}.").starts_with(RESERVED_PREFIX),
            EventPattern::Any => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, event_type: &str) -> bool {
        let pattern: EventPattern = pattern.parse().unwrap();
        pattern.matches(&event_type.parse().unwrap())
    }

    #[test]
    fn patterns_match_whole_parts() {
        assert!(matches("*", "order.created"));
        assert!(matches("order.created", "order.created"));
        assert!(matches("order.*", "order.created"));
        assert!(matches("order.*", "order.item.added"));
        assert!(matches("order.item.*", "order.item.added"));
        assert!(!matches("order.*", "order"));
        assert!(!matches("order.*", "orders.created"));
        assert!(!matches("order.created", "order.created.twice"));
    }

    #[test]
    fn malformed_types_and_patterns_are_refused() {
        let long = "a".repeat(129);
        for bad in [
            "", ".", "a.", ".a", "a..b", "a b", "a/b", "\u{e9}", "a.*", &long,
        ] {
            assert!(bad.parse::<EventType>().is_err(), "{bad:?}");
        }
        for bad in ["", ".*", "*.a", "a*", "a.*.b", "**", "a.*.*"] {
            assert!(bad.parse::<EventPattern>().is_err(), "{bad:?}");
        }
        assert!(EventPatterns::new(Vec::new()).is_err());
    }

    #[test]
    fn own_events_go_to_those_who_name_them() {
        let patterns = |patterns: &[&str]| {
            let patterns = patterns.iter().map(|pattern| pattern.parse().unwrap());
            EventPatterns::new(patterns.collect()).unwrap()
        };
        let failed = "postrider.delivery.failed".parse().unwrap();
        for (of, named) in [
            (&["*"][..], false),
            (&["order.*", "postriders.*"], false),
            (&["postrider.*"], true),
            (&["*", "postrider.delivery.*"], true),
            (&["postrider.delivery.failed"], true),
        ] {
            assert_eq!(patterns(of).matches(&failed), named, "{of:?}");
            assert_eq!(patterns(of).name_operational(), named, "{of:?}");
        }
        assert!(patterns(&["*"]).matches(&"order.shipped".parse().unwrap()));
    }

    #[test]
    fn only_types_below_postrider_are_kept_from_publishers() {
        let publishable = |text: &str| text.parse::<EventType>()?.check_publishable();
        for reserved in ["postrider.test", "postrider.delivery.failed"] {
            assert!(publishable(reserved).is_err(), "{reserved}");
            assert!(matches(reserved, reserved));
        }
        for free in ["postrider", "postriders.test", "order.postrider.test"] {
            assert!(publishable(free).is_ok(), "{free}");
        }
        assert!(matches("postrider.*", "postrider.test"));
    }

    proptest! {
        #[test]
        fn a_type_and_its_patterns_read_back_and_match(
            text in "[A-Za-z0-9_-]{1,12}(\\.[A-Za-z0-9_-]{1,12}){0,4}",
        ) {
            let event_type: EventType = text.parse().unwrap();
            prop_assert_eq!(event_type.as_str(), &text);
            for (at, _) in text.match_indices('.') {
                let pattern = format!("{}.*", &text[..at]);
                prop_assert!(matches(&pattern, &text));
                prop_assert_eq!(pattern.parse::<EventPattern>().unwrap().to_string(), pattern);
            }
        }
    }
}
