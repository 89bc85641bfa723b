//! The URL of an endpoint. Whether its address may be called is not decided
//! here: that is known only when it is resolved.

use std::{fmt, str::FromStr};

use url::Url;

use super::Invalid;

const MAX_LENGTH: usize = 2_048;

/// An absolute `http` or `https` URL with a host, without user information and
/// fragment, in its canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl(Url);

impl EndpointUrl {
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
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Invalid::new(format!(
                "must begin with http:// or https://, not {}:",
                url.scheme()
            )));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Invalid::new("must name a host"));
        }
        // The last label of a name may be the root's, which is empty.
        let name = url
            .domain()
            .map(|name| name.strip_suffix('.').unwrap_or(name));
        if name.is_some_and(|name| name.split('.').any(str::is_empty)) {
            return Err(Invalid::new(
                "must name a host whose parts between the dots are not empty",
            ));
        }
        if url.port() == Some(0) {
            return Err(Invalid::new("must name a port from 1 to 65535"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Invalid::new(
                "must not carry a user name or password; use a custom header",
            ));
        }
        if url.fragment().is_some() {
            return Err(Invalid::new("must not have a fragment (#...)"));
        }
        Ok(Self(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_no_post_can_go_to_are_refused() {
        let long = format!("https://client.example/{}", "a".repeat(MAX_LENGTH));
        for bad in [
            "",
            "client.example/hooks",
            "/hooks",
            "ftp://client.example/",
            "file:///etc/passwd",
            "https://",
            "https://user@client.example/",
            "https://user:word@client.example/",
            "https://client.example/#part",
            "https://client.example:0/",
            "https://client.example:65536/",
            "https://client.example/a b",
            "https://client.example/\n",
            "https://[::1/",
            "http://a..b/x",
            "http://.client.example/",
            "http://client.example../",
            "http://./",
            "http://a\u{3002}\u{3002}b/",
            &long,
        ] {
            assert!(bad.parse::<EndpointUrl>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_host_may_be_an_address_or_end_in_the_root() {
        for good in [
            "https://client.example./",
            "http://localhost:8080/",
            "http://192.0.2.1/",
            "http://[2001:db8::1]:80/",
        ] {
            assert!(good.parse::<EndpointUrl>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_url_is_kept_in_its_canonical_form() {
        let url: EndpointUrl = "HTTPS://Client.Example:443/a/../hooks?x=1".parse().unwrap();
        assert_eq!(url.as_str(), "https://client.example/hooks?x=1");
    }
}
