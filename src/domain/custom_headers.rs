//! Headers that a subscription adds to its deliveries.

use std::collections::BTreeMap;

use super::Invalid;

const MAX_ENTRIES: usize = 32;
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 4_096;
/// Each attempt carries them, and is logged with them.
const MAX_BYTES: usize = 16 * 1_024;

/// Headers that HTTP or Postrider itself sets.
const RESERVED_HEADERS: [&str; 22] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "referer",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "x-webhook-", "postrider-"];

/// Headers of the subscriber's own, names in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomHeaders(BTreeMap<String, String>);

impl CustomHeaders {
    /// Checks names and values; reserved names are refused.
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Result<Self, Invalid> {
        let mut checked = BTreeMap::new();
        for (name, value) in headers {
            if name.len() > MAX_NAME {
                return Err(Invalid::new(format!(
                    "must have names of at most {MAX_NAME} bytes; one has {}",
                    name.len()
                )));
            }
            let lower = name.to_ascii_lowercase();
            if http::HeaderName::from_bytes(lower.as_bytes()).is_err() {
                return Err(Invalid::new(format!("{name:?} is not a header name")));
            }
            if RESERVED_HEADERS.contains(&lower.as_str())
                || RESERVED_PREFIXES
                    .iter()
                    .any(|prefix| lower.starts_with(prefix))
            {
                return Err(Invalid::new(format!(
                    "{name:?} is reserved; choose another name"
                )));
            }
            let printable = value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'));
            if !printable || value.len() > MAX_VALUE || value.trim() != value {
                return Err(Invalid::new(format!(
                    "value of {name:?} must be at most {MAX_VALUE} bytes of printable \
                     ASCII without spaces at its ends"
                )));
            }
            if checked.insert(lower, value).is_some() {
                return Err(Invalid::new(format!(
                    "{name:?} stands twice; header names ignore case"
                )));
            }
        }
        if checked.len() > MAX_ENTRIES {
            return Err(Invalid::new(format!(
                "must have at most {MAX_ENTRIES} entries, has {}",
                checked.len()
            )));
        }
        let lengths = checked.iter().map(|(name, value)| name.len() + value.len());
        let bytes: usize = lengths.sum();
        if bytes > MAX_BYTES {
            return Err(Invalid::new(format!(
                "must have at most {MAX_BYTES} bytes of names and values, has {bytes}"
            )));
        }
        Ok(Self(checked))
    }

    /// The headers, sorted by name.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> Result<CustomHeaders, Invalid> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        CustomHeaders::new(list.iter().map(owned))
    }

    #[test]
    fn headers_that_would_break_a_delivery_are_refused() {
        let long = "x".repeat(MAX_VALUE + 1);
        for (name, value) in [
            ("Host", "x"),
            ("content-length", "1"),
            ("Webhook-Id", "x"),
            ("X-Webhook-Signature", "x"),
            ("", "x"),
            ("a b", "x"),
            ("a", "line\r\nsplit: 1"),
            ("a", " spaced"),
            ("a", "\u{e9}"),
            ("a", &long),
        ] {
            assert!(headers(&[(name, value)]).is_err(), "{name:?}: {value:?}");
        }
        assert!(headers(&[("A", "1"), ("a", "2")]).is_err());
        assert!(headers(&[(&"n".repeat(MAX_NAME), "1")]).is_ok());
        assert!(headers(&[(&"n".repeat(MAX_NAME + 1), "1")]).is_err());
        // Four of the longest values leave no room for their names.
        let value = "x".repeat(MAX_VALUE);
        let longest = ["a", "b", "c", "d"].map(|name| (name, &*value));
        assert!(headers(&longest[..3]).is_ok());
        assert!(headers(&longest).is_err());
        let kept = headers(&[("Authorization", "Bearer x")]).unwrap();
        assert_eq!(kept.as_map()["authorization"], "Bearer x");
    }
}
