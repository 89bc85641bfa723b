//! Lists as callers ask for them: a page size, and the token of the page before.

use std::fmt::Debug;

use super::{Error, Result};
use crate::{
    domain::Violations,
    storage::{Cursor, Page, PageRequest, Token},
};

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 1_000;

/// Which page is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// Most entries wanted: 50 if zero, at most 1,000.
    pub page_size: usize,
    /// Token of the page before; empty for the first.
    pub page_token: String,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Token of the next page; empty on the last.
    pub next_page_token: String,
}

impl List {
    /// Checks a page size.
    pub fn check_size(size: i32, violations: &mut Violations) -> usize {
        usize::try_from(size).unwrap_or_else(|_| {
            violations.add("page_size", format!("must be 0 to {MAX_SIZE}, is {size}"));
            0
        })
    }

    /// The page as the store is asked for it. A token is good only where the
    /// same `scope` is asked for.
    pub(super) fn request(&self, scope: &impl Debug) -> Result<PageRequest> {
        let cursor = match self.page_token.as_str() {
            "" => None,
            token => {
                let cursor = Token::open(scope, token)
                    .map_err(|error| Error::invalid("page_token", error))?;
                Some(Cursor(cursor))
            }
        };
        let size = match self.page_size {
            0 => DEFAULT_SIZE,
            size => size.min(MAX_SIZE),
        };
        Ok(PageRequest { size, cursor })
    }
}

impl<T> Listed<T> {
    /// The page as the caller gets it.
    pub(super) fn new(page: Page<T>, scope: &impl Debug) -> Self {
        let next = page.next.map(|Cursor(cursor)| Token::seal(scope, &cursor));
        Self {
            items: page.items,
            next_page_token: next.unwrap_or_default(),
        }
    }
}
