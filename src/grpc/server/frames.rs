//! Reads the heads of HTTP/2 frames (RFC 9113, section 4.1) as they come in,
//! and says when a client sends more than an honest one would of those that
//! cost it nothing. What frames say is the business of the HTTP/2 library.
//!
//! The library answers a PING or SETTINGS for as long as they come, and takes a
//! stream that was accepted and reset at once for an ordinary one, so a client
//! could keep a processor busy by itself.

use std::time::Duration;

use tokio::time::Instant;

/// The first bytes of a connection, before its first frame.
const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const HEAD: usize = 9;
/// What a client may spend in a second, and at once.
const ALLOWANCE: f64 = 50_000.0;

/// What has come in so far.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes until the head of the next frame.
    skip: usize,
    head: [u8; HEAD],
    /// Bytes of the head that are there.
    filled: usize,
    /// Whether the first frame has begun: the client speaks HTTP/2.
    opened: bool,
    allowance: f64,
    refilled: Instant,
}

impl Frames {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            skip: PREFACE,
            head: [0; HEAD],
            filled: 0,
            opened: false,
            allowance: ALLOWANCE,
            refilled: now,
        }
    }

    /// Whether a frame has come.
    pub(super) fn opened(&self) -> bool {
        self.opened
    }

    /// Takes in the next bytes; false once the client has sent too much.
    pub(super) fn take_in(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        self.refill(now - self.refilled);
        self.refilled = now;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let missing = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + missing].copy_from_slice(&bytes[..missing]);
            self.filled += missing;
            bytes = &bytes[missing..];
            if self.filled == HEAD {
                self.filled = 0;
                self.opened = true;
                let [high, middle, low, kind, flags, ..] = self.head;
                let length = u32::from_be_bytes([0, high, middle, low]);
                self.skip = usize::try_from(length).expect("24 bits fit");
                self.allowance -= price(kind, flags, length);
            }
        }
        self.allowance >= 0.0
    }

    fn refill(&mut self, elapsed: Duration) {
        self.allowance = (self.allowance + elapsed.as_secs_f64() * ALLOWANCE).min(ALLOWANCE);
    }
}

/// What a frame costs: the rate at which it is too much is the allowance
/// divided by this. Payloads cost nothing, flow control bounds them.
fn price(kind: u8, flags: u8, length: u32) -> f64 {
    const END_STREAM: u8 = 0x1;
    match kind {
        // DATA
        0 if length == 0 && flags & END_STREAM == 0 => 50.0,
        0 => 0.0,
        // HEADERS and WINDOW_UPDATE, a few for each call
        1 | 8 => 1.0,
        // RST_STREAM: calls that are given up
        3 => 25.0,
        // SETTINGS
        4 => 100.0,
        // CONTINUATION: most header lists fit one frame
        9 => 50.0,
        // PING, of which an honest client sends one a round trip, to measure
        // bandwidth; PRIORITY, and what is ignored
        _ => 2.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    fn opening() -> Vec<u8> {
        let mut bytes = vec![b'x'; PREFACE];
        bytes.extend(frame(4, 0, &[]));
        bytes
    }

    /// How many of these frames, sent at once, are too much.
    fn too_many(kind: u8, flags: u8, payload: &[u8]) -> Option<usize> {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        assert!(frames.take_in(&opening(), now));
        let frame = frame(kind, flags, payload);
        (1..200_000).find(|_| !frames.take_in(&frame, now))
    }

    #[test]
    fn what_costs_a_client_nothing_is_too_much_at_some_time() {
        for (kind, most) in [(0, 1_000), (2, 25_000), (3, 2_000), (4, 500), (6, 25_000)] {
            let found = too_many(kind, 0, &[]).unwrap();
            assert!((most / 2..=most).contains(&found), "{kind}: {found}");
        }
        assert_eq!(too_many(0, 0, b"payload"), None);
        assert_eq!(too_many(0, 1, &[]), None);
    }

    #[test]
    fn the_allowance_returns_with_time() {
        let mut now = Instant::now();
        let mut frames = Frames::new(now);
        assert!(frames.take_in(&opening(), now));
        // An honest 10,000 pings a second.
        for _ in 0..1_000 {
            now += Duration::from_millis(10);
            let pings = frame(6, 0, &[0; 8]).repeat(100);
            assert!(frames.take_in(&pings, now));
        }
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_does_not_matter(
            payloads in prop::collection::vec((0_u8..12, 0_usize..40), 1..40),
            cuts in prop::collection::vec(1_usize..30, 1..40),
        ) {
            let now = Instant::now();
            let mut bytes = opening();
            for (kind, length) in payloads {
                bytes.extend(frame(kind, 0, &vec![9; length]));
            }
            let mut whole = Frames::new(now);
            whole.take_in(&bytes, now);
            let mut cut = Frames::new(now);
            let mut rest = &bytes[..];
            for length in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*length).min(rest.len()));
                cut.take_in(piece, now);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(whole.allowance.to_bits(), cut.allowance.to_bits());
            prop_assert_eq!((whole.skip, whole.filled), (0, 0));
            prop_assert_eq!((cut.skip, cut.filled), (0, 0));
        }

        #[test]
        fn a_connection_opens_with_its_first_frame(length in 0_usize..PREFACE + HEAD) {
            let now = Instant::now();
            let mut frames = Frames::new(now);
            frames.take_in(&opening()[..length], now);
            prop_assert!(!frames.opened());
            frames.take_in(&opening()[length..], now);
            prop_assert!(frames.opened());
        }
    }
}
