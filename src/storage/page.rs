//! Pages of a list, and the opaque tokens that continue it.

use std::fmt::Debug;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

const FORMAT: u8 = 1;
const CHECK: usize = 8;

/// Where a list goes on, in the engine's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub Vec<u8>);

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Most items wanted, above zero.
    pub size: usize,
    /// Where to go on; at the beginning if `None`.
    pub cursor: Option<Cursor>,
}

/// One page. It may be short, even empty, and still not be the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// A token is not one of this list's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the token of an earlier reply to a request with the same other fields")]
pub struct BadToken;

/// A cursor as clients see it: bound to what was asked for, so that it cannot
/// continue another list. Base64 of format, check and cursor.
#[derive(Debug, Clone, Copy)]
pub struct Token;

impl Token {
    /// The token of a cursor, good only where the same `scope` is asked for.
    pub fn seal(scope: &impl Debug, cursor: &[u8]) -> String {
        let mut bytes = vec![FORMAT];
        bytes.extend(check(scope, cursor));
        bytes.extend(cursor);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor of a token.
    pub fn open(scope: &impl Debug, token: &str) -> Result<Vec<u8>, BadToken> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
        let (&FORMAT, rest) = bytes.split_first().ok_or(BadToken)? else {
            return Err(BadToken);
        };
        let (found, cursor) = rest.split_at_checked(CHECK).ok_or(BadToken)?;
        if found == check(scope, cursor) {
            Ok(cursor.to_vec())
        } else {
            Err(BadToken)
        }
    }
}

/// Guards against mistakes, not against forgery: a cursor gives nobody
/// anything that the call itself does not.
fn check(scope: &impl Debug, cursor: &[u8]) -> [u8; CHECK] {
    let mut hash = Sha256::new();
    hash.update(format!("{scope:?}"));
    hash.update([0]);
    hash.update(cursor);
    let mut check = [0; CHECK];
    check.copy_from_slice(&hash.finalize()[..CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::damaged::damaged_text;

    proptest! {
        #[test]
        fn a_token_opens_only_in_its_scope(cursor: Vec<u8>, scope: u32, other: u32) {
            let token = Token::seal(&scope, &cursor);
            prop_assert_eq!(Token::open(&scope, &token), Ok(cursor));
            if other != scope {
                prop_assert_eq!(Token::open(&other, &token), Err(BadToken));
            }
        }

        #[test]
        fn whatever_became_of_a_token_is_refused(
            token in damaged_text(&[&Token::seal(&"list", b"cursor"), &Token::seal(&"list", b"")])
        ) {
            if let Ok(cursor) = Token::open(&"list", &token) {
                prop_assert_eq!(Token::seal(&"list", &cursor), token);
            }
        }

        #[test]
        fn any_other_text_is_refused(text in "\\PC{0,40}") {
            prop_assert_eq!(Token::open(&"list", &text), Err(BadToken));
        }
    }
}
