//! Reading an expression with the parser of the crate `cel`.

use std::{fmt::Display, thread};

use cel::{
    Env,
    common::ast::{IdedExpr, SourceInfo},
    parser::ParseError,
};

use crate::domain::{FilterExpression, Invalid};

/// Parentheses, lists and calls within each other.
const MAX_NESTING: u16 = 32;
/// The parser calls itself, and an overflow would end the process.
const STACK: usize = 16 * 1024 * 1024;

/// Characters of an expression that an error shows.
const SHOWN: usize = 20;

/// An expression and where its nodes stand.
pub(super) struct Source<'a> {
    text: &'a str,
    info: SourceInfo,
}

impl Source<'_> {
    /// What is wrong with the node, and where it stands.
    pub(super) fn invalid(&self, node: &IdedExpr, wrong: impl Display) -> Invalid {
        let Some((start, _)) = self.info.offset_for(node.id) else {
            return Invalid::new(wrong.to_string());
        };
        let before: String = self.text.chars().take(start as usize).collect();
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.chars().rev().take_while(|c| *c != '\n').count();
        at(line, column, wrong)
    }
}

/// Reads the expression and makes something of it, on a thread that has room
/// for both.
pub(super) fn with_room<T: Send>(
    expression: &FilterExpression,
    make: impl FnOnce(&IdedExpr, &Source<'_>) -> Result<T, Invalid> + Send,
) -> Result<T, Invalid> {
    let read = || {
        let (root, source) = parse(expression.as_str())?;
        make(&root, &source)
    };
    thread::scope(|scope| {
        let reader = thread::Builder::new().stack_size(STACK);
        let reader = reader.spawn_scoped(scope, read).map_err(|_| unreadable())?;
        reader.join().map_err(|_| unreadable())?
    })
}

fn unreadable() -> Invalid {
    Invalid::new("cannot be read")
}

fn parse(text: &str) -> Result<(IdedExpr, Source<'_>), Invalid> {
    // Without macros the parser leaves `has`, `all` and their like as calls.
    let parser = Env::default().with_optional_support(false).parser();
    let parser = parser.max_recursion_depth(MAX_NESTING);
    match parser.parse_with_source_info(text) {
        Ok((root, info)) => Ok((root, Source { text, info })),
        Err(errors) => Err(match errors.errors.first() {
            Some(first) => at(first.pos.0, first.pos.1, not_understood(text, first)),
            None => unreadable(),
        }),
    }
}

/// What is wrong, without the words of the parser's own grammar.
fn not_understood(text: &str, error: &ParseError) -> String {
    if error.msg.contains("Recursion limit") {
        return format!("nested deeper than {MAX_NESTING} levels");
    }
    let [line, column] = [error.pos.0, error.pos.1].map(|n| usize::try_from(n - 1));
    let line = text.lines().nth(line.unwrap_or_default());
    let rest = line
        .unwrap_or_default()
        .chars()
        .skip(column.unwrap_or_default());
    let rest: String = rest.take(SHOWN).collect();
    if rest.trim().is_empty() {
        "ends before it is complete".to_owned()
    } else {
        format!("cannot be read from {rest:?} on")
    }
}

fn at(line: impl Display, column: impl Display, wrong: impl Display) -> Invalid {
    Invalid::new(format!("line {line}, column {column}: {wrong}"))
}
