//! 128 bits as 26 characters of Crockford base32, lower case. Sorts as the
//! bits do.

/// Characters of an encoded id.
pub(super) const LENGTH: usize = 26;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Encodes the bits, most significant first.
pub(super) fn encode(bits: u128) -> [u8; LENGTH] {
    let mut text = [0; LENGTH];
    for (i, character) in text.iter_mut().enumerate() {
        let shift = 5 * (LENGTH - 1 - i);
        let digit = usize::try_from((bits >> shift) & 31).expect("five bits fit");
        *character = ALPHABET[digit];
    }
    text
}

/// Decodes what `encode` wrote and nothing else: no upper case, no look-alikes.
pub(super) fn decode(text: &[u8]) -> Option<u128> {
    // 26 digits hold 130 bits; the first digit has only three.
    if text.len() != LENGTH || text[0] > b'7' {
        return None;
    }
    text.iter().try_fold(0, |bits: u128, character| {
        let digit = ALPHABET.iter().position(|c| c == character)?;
        Some(bits << 5 | digit as u128)
    })
}
