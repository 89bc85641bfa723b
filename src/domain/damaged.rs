//! Bytes that something happened to, for the tests of whatever reads bytes
//! that others wrote. `tests/fuzz` runs those with many more cases.

use proptest::{collection::vec, prelude::*, sample::Index};

/// What may happen to bytes, at places relative to their length.
#[derive(Debug, Clone)]
enum Damage {
    Change(Index, u8),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
    Remove(Index, Index),
    Cut(Index),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index| index.index(bytes.len() + 1);
        let span = |one: &Index, other: &Index| {
            let (one, other) = (place(one), place(other));
            one.min(other)..one.max(other)
        };
        match self {
            Self::Change(at, byte) => {
                let at = place(at);
                bytes.splice(at..bytes.len().min(at + 1), [*byte]);
            }
            Self::Insert(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Repeat(one, other) => {
                let span = span(one, other);
                let again = bytes[span.clone()].to_vec();
                bytes.splice(span.end..span.end, again);
            }
            Self::Remove(one, other) => {
                let span = span(one, other);
                bytes.drain(span);
            }
            Self::Cut(at) => bytes.truncate(place(at)),
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
        2 => (any::<Index>(), vec(any::<u8>(), 1..8))
            .prop_map(|(at, more)| Damage::Insert(at, more)),
        1 => any::<(Index, Index)>().prop_map(|(one, other)| Damage::Repeat(one, other)),
        1 => any::<(Index, Index)>().prop_map(|(one, other)| Damage::Remove(one, other)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ]
}

/// One of these, with up to four damages.
pub(crate) fn damaged(whole: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let whole = proptest::sample::select(whole);
    (whole, vec(damage(), 0..4)).prop_map(|(mut bytes, damages)| {
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        bytes
    })
}

/// One of these texts, damaged, as far as it is still a text.
pub(crate) fn damaged_text(whole: &[&str]) -> impl Strategy<Value = String> + use<> {
    let whole = whole.iter().map(|text| text.as_bytes().to_vec()).collect();
    damaged(whole).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
