//! How a host may be spelt. The URL standard mends much (slashes, numbers of
//! any base, escapes, letters that look alike) that other programs read in
//! another way; here everything means one thing, or is refused.

use url::{Host, Url};

use crate::domain::Invalid;

/// Longest name of the DNS in text, without the dot of the root.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Compares the text of a URL with what it was read as.
pub(super) fn check(text: &str, url: &Url) -> Result<(), Invalid> {
    let scheme = url.scheme();
    let wrong_start = || Invalid::new(format!("must begin with {scheme}:// and then the host"));
    let rest = text.get(scheme.len()..).unwrap_or_default();
    let rest = rest.strip_prefix("://").ok_or_else(wrong_start)?;
    if rest.contains('\\') {
        return Err(Invalid::new("must not contain a backslash"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(wrong_start());
    }
    if authority.contains('@') {
        return Err(Invalid::new(
            "must not carry a user name or password; use a custom header",
        ));
    }
    if authority.contains('%') {
        return Err(Invalid::new(
            "must spell the host without % escapes, as it is",
        ));
    }
    match url.host() {
        Some(Host::Ipv4(address)) => {
            let canonical = address.to_string();
            if host_of(authority) == canonical {
                return Ok(());
            }
            Err(must_be_spelt(&canonical))
        }
        Some(Host::Ipv6(address)) => match address.to_ipv4_mapped() {
            Some(mapped) => Err(must_be_spelt(&mapped.to_string())),
            None => Ok(()),
        },
        Some(Host::Domain(name)) => check_name(name),
        None => Err(wrong_start()),
    }
}

/// The host of an authority that is no IPv6 address.
fn host_of(authority: &str) -> &str {
    let (host, _port) = authority.split_once(':').unwrap_or((authority, ""));
    host
}

fn must_be_spelt(address: &str) -> Invalid {
    Invalid::new(format!("must spell the address as {address}"))
}

/// Checks a name that is already in ASCII and lower case.
fn check_name(name: &str) -> Result<(), Invalid> {
    // The last label may be the root's, which is empty.
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > MAX_NAME {
        return Err(Invalid::new(format!(
            "must name a host of at most {MAX_NAME} bytes, is {}",
            name.len()
        )));
    }
    if name.split('.').all(is_label) {
        return Ok(());
    }
    Err(Invalid::new(format!(
        "must name a host whose parts between the dots are 1 to {MAX_LABEL} letters, digits, - \
         and _, with no - at either end"
    )))
}

fn is_label(label: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(is_part)
        && !label.starts_with('-')
        && !label.ends_with('-')
}
