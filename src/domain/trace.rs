//! The trace that an event belongs to: `traceparent` of the W3C's Trace Context,
//! <https://www.w3.org/TR/trace-context/#traceparent-header>.

/// Name of the header, of the metadata and of the attribute.
pub const TRACEPARENT: &str = "traceparent";

/// Length of what is known of it; later versions may add to that.
const LENGTH: usize = 55;

/// Whether the text is one: version, trace, parent and flags in hexadecimal.
pub fn is_traceparent(text: &str) -> bool {
    let Some((known, rest)) = text.split_at_checked(LENGTH) else {
        return false;
    };
    let parts: Vec<_> = known.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else {
        return false;
    };
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_hexadecimal = |part: &&str| part.bytes().all(hexadecimal);
    let is_id = |part: &str, length| part.len() == length && part.bytes().any(|byte| byte != b'0');
    let is_rest = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_graphic());
    parts.iter().all(is_hexadecimal)
        && (version.len(), flags.len()) == (2, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(parent, 16)
        && (rest.is_empty() || version != "00" && rest.starts_with('-') && is_rest(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_standard_allows_is_one() {
        let [trace, parent] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"];
        assert!(is_traceparent(&format!("00-{trace}-{parent}-01")));
        assert!(is_traceparent(&format!("cc-{trace}-{parent}-01-later")));
        let zeros = "0".repeat(32);
        for wrong in [
            String::new(),
            "x".repeat(LENGTH),
            "\u{e9}".repeat(LENGTH),
            format!("00-{trace}-{parent}-1"),
            format!("00-{trace}-{parent}-01-more"),
            format!("cc-{trace}-{parent}-01more"),
            format!("cc-{trace}-{parent}-01-\r\n"),
            format!("ff-{trace}-{parent}-01"),
            format!("00-{zeros}-{parent}-01"),
            format!("00-{trace}-{}-01", &zeros[..16]),
            format!("00-{}-{parent}-01", trace.to_uppercase()),
            format!("00-{parent}-{trace}-01"),
        ] {
            assert!(!is_traceparent(&wrong), "{wrong:?}");
        }
    }
}
