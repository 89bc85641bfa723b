//! The first bytes of keys.

/// What a row is, by the first byte of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in super::super) enum Tag {
    Event = b'E',
    Body = b'B',
    Delivery = b'D',
    Due = b'Q',
    Order = b'O',
    Attempt = b'A',
    Idempotency = b'I',
    Piece = b'P',
    Tally = b'N',
    Commits = b'K',
    Stats = b'T',
    Subscription = b'S',
    Request = b'R',
    Replay = b'Y',
    ApiKey = b'L',
    FirstDay = b'F',
    Gone = b'G',
    Resting = b'Z',
    Witness = b'W',
    Rewrite = b'X',
    Untimed = b'U',
    Copying = b'C',
}

/// What the row of a key is, if any.
pub(in super::super) fn tag_of(key: &[u8]) -> Option<Tag> {
    const TAGS: [Tag; 22] = [
        Tag::Event,
        Tag::Body,
        Tag::Delivery,
        Tag::Due,
        Tag::Order,
        Tag::Attempt,
        Tag::Idempotency,
        Tag::Piece,
        Tag::Tally,
        Tag::Commits,
        Tag::Stats,
        Tag::Subscription,
        Tag::Request,
        Tag::Replay,
        Tag::ApiKey,
        Tag::FirstDay,
        Tag::Gone,
        Tag::Resting,
        Tag::Witness,
        Tag::Rewrite,
        Tag::Untimed,
        Tag::Copying,
    ];
    let first = *key.first()?;
    TAGS.into_iter().find(|tag| *tag as u8 == first)
}
