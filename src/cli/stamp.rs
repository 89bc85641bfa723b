//! What a measured payload says of itself: its number and when it was sent.
//!
//! The payload is JSON, `{"sequence":7,"sent_ns":123,"padding":"xxx"}`; the
//! receiver finds the stamp in the envelope without parsing the rest.

use std::io::Write;

const START: &[u8] = b"{\"sequence\":";
const MIDDLE: &[u8] = b",\"sent_ns\":";

/// Number of an event and the monotonic time at which it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Counts the events of a run from 0.
    pub(super) sequence: u64,
    /// Nanoseconds of the monotonic clock.
    pub(super) sent_nanos: u64,
}

impl Stamp {
    /// Appends a payload of `size` bytes that carries the stamp; of a few more
    /// if the stamp alone needs them.
    pub(super) fn write_payload(self, size: usize, out: &mut Vec<u8>) {
        const END: &[u8] = b"\"}";
        let start = out.len();
        write!(
            out,
            "{{\"sequence\":{},\"sent_ns\":{},\"padding\":\"",
            self.sequence, self.sent_nanos
        )
        .expect("writing to a vector cannot fail");
        let padded = (start + size).saturating_sub(END.len()).max(out.len());
        out.resize(padded, b'x');
        out.extend_from_slice(END);
    }

    /// The stamp in a body, if it carries one.
    pub(super) fn find(body: &[u8]) -> Option<Self> {
        let at = body.windows(START.len()).position(|part| part == START)?;
        let (sequence, rest) = number(&body[at + START.len()..])?;
        let (sent_nanos, _) = number(rest.strip_prefix(MIDDLE)?)?;
        Some(Self {
            sequence,
            sent_nanos,
        })
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = bytes.split_at(end);
    let value = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_in_an_envelope() {
        let stamp = Stamp {
            sequence: 42,
            sent_nanos: 1_234_567_890_123,
        };
        let mut body = b"{\"id\":\"evt_1\",\"data\":".to_vec();
        stamp.write_payload(512, &mut body);
        body.push(b'}');
        assert_eq!(Stamp::find(&body), Some(stamp));
        assert_eq!(body.len(), 21 + 512 + 1);
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
    }

    #[test]
    fn a_size_too_small_for_the_stamp_grows_to_hold_it() {
        let stamp = Stamp {
            sequence: 0,
            sent_nanos: 1,
        };
        let mut body = Vec::new();
        stamp.write_payload(0, &mut body);
        assert_eq!(Stamp::find(&body), Some(stamp));
    }

    #[test]
    fn other_bodies_carry_none() {
        for body in [&b""[..], b"{\"sequence\":", b"{\"sequence\":1,\"sent\":2}"] {
            assert_eq!(Stamp::find(body), None);
        }
    }
}
