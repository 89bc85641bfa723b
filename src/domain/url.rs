//! The URL of an endpoint. Whether its address may be called is not decided
//! here: [`Guard`](super::Guard) does that, and for a name only when it is
//! resolved.

mod spelling;

use std::{fmt, str::FromStr};

use url::Url;

use super::Invalid;

const MAX_LENGTH: usize = 2_048;

/// An absolute `http` or `https` URL with a host, without user information and
/// fragment, in its canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl(Url);

impl EndpointUrl {
    /// Reads back the text of a URL whose spelling was judged when it came.
    /// What was right under older rules stays readable.
    pub fn from_canonical(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        (is_http(&url) && url.has_host()).then_some(Self(url))
    }

    /// The parsed URL.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EndpointUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new(
                "is required, such as \"https://client.example/webhooks\"",
            ));
        }
        if text.len() > MAX_LENGTH {
            return Err(Invalid::new(format!(
                "must be at most {MAX_LENGTH} bytes, is {}",
                text.len()
            )));
        }
        // The URL standard drops these silently; an operator means no such URL.
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Invalid::new(
                "must not contain white space or control characters",
            ));
        }
        let url = Url::parse(text)
            .map_err(|error| Invalid::new(format!("must be an absolute URL: {error}")))?;
        if !is_http(&url) {
            return Err(Invalid::new(format!(
                "must begin with http:// or https://, not {}:",
                url.scheme()
            )));
        }
        spelling::check(text, &url)?;
        if url.port() == Some(0) {
            return Err(Invalid::new("must name a port from 1 to 65535"));
        }
        if url.fragment().is_some() {
            return Err(Invalid::new("must not have a fragment (#...)"));
        }
        Ok(Self(url))
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

#[cfg(test)]
mod tests;
