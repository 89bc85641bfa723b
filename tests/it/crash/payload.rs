//! Payloads that a number makes, so that whoever has the number can tell a
//! single changed byte without having kept any.

use std::fmt::Write;

use bytes::Bytes;
use postrider::proto::{Event, event};

use super::plan::mix;

/// Sizes in bytes; large ones are rare.
const SIZES: [(u64, usize); 4] = [
    (70, 200),
    (96, 4 * 1024),
    (99, 60 * 1024),
    (100, 256 * 1024),
];
/// Types of the events; each type is wanted by other subscriptions.
pub const TYPES: [&str; 3] = ["load.plain", "load.churned", "load.rotated"];

/// How many ordering keys there are.
pub const KEYS: u64 = 8;

/// The event of a number.
pub fn event(n: u64, keyed: bool) -> Event {
    let kind = usize::try_from(mix(n, 2) % 3).unwrap();
    Event {
        r#type: TYPES[kind].to_owned(),
        payload: Some(event::Payload::Data(data(n))),
        idempotency_key: if keyed {
            format!("key-{n}")
        } else {
            String::new()
        },
        ordering_key: (n % KEYS).to_string(),
        attributes: [("n".to_owned(), n.to_string())].into(),
        ..Default::default()
    }
}

/// The payload of a number.
pub fn data(n: u64) -> Bytes {
    let part = mix(n, 1) % 100;
    let (_, size) = SIZES.iter().find(|(below, _)| part < *below).unwrap();
    data_of_size(n, *size)
}

/// The payload of a number, so long.
pub fn data_of_size(n: u64, size: usize) -> Bytes {
    let mut text = format!(r#"{{"n":{n},"x":""#);
    let whole = size - 2;
    let mut word = 0;
    while text.len() < whole {
        word += 1;
        write!(text, "{:016x}", mix(n, word)).unwrap();
    }
    text.truncate(whole);
    text.push_str("\"}");
    text.into()
}

/// The number of a delivery's body, if the payload in it is that number's to
/// the last byte.
pub fn number_of(body: &[u8]) -> Option<u64> {
    const BEFORE: &[u8] = b",\"data\":";
    let at = body.windows(BEFORE.len()).position(|part| part == BEFORE)?;
    let found = body[at + BEFORE.len()..].strip_suffix(b"}")?;
    let digits = found.strip_prefix(b"{\"n\":")?;
    let end = digits.iter().position(|byte| *byte == b',')?;
    let n = std::str::from_utf8(&digits[..end]).ok()?.parse().ok()?;
    (data(n) == found).then_some(n)
}
