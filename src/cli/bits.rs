//! A bit for each event of a run, so that what was lost or came twice is known
//! exactly, at little cost.

use std::iter;

/// Bits by index; all are clear at first.
#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Sets a bit and tells whether it was clear.
    pub(super) fn set(&mut self, index: u64) -> bool {
        let word = usize::try_from(index / 64).expect("as many events as memory holds");
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let bit = 1 << (index % 64);
        let clear = self.0[word] & bit == 0;
        self.0[word] |= bit;
        clear
    }

    /// How many of these bits are clear in the others.
    pub(super) fn missing_in(&self, others: &Self) -> u64 {
        let others = others.0.iter().copied().chain(iter::repeat(0));
        let missing = self.0.iter().zip(others).map(|(own, other)| own & !other);
        missing.map(|word| u64::from(word.count_ones())).sum()
    }

    /// The bits as little-endian words of 8 bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The bits of such bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let words = bytes.as_chunks().0.iter();
        Self(words.map(|word| u64::from_le_bytes(*word)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(indexes: &[u64]) -> Bits {
        let mut bits = Bits::default();
        for index in indexes {
            bits.set(*index);
        }
        bits
    }

    #[test]
    fn a_bit_is_set_once() {
        let mut bits = bits(&[]);
        assert!(bits.set(70));
        assert!(!bits.set(70));
        assert!(bits.set(6));
    }

    #[test]
    fn missing_bits_are_counted_after_any_way() {
        let sent = bits(&[0, 1, 65, 130]);
        let arrived = Bits::from_bytes(&bits(&[0, 2, 65]).to_bytes());
        assert_eq!(sent.missing_in(&arrived), 2);
        assert_eq!(sent.missing_in(&Bits::default()), 4);
        assert_eq!(arrived.missing_in(&sent), 1);
    }
}
