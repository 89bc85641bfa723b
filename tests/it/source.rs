//! Reads Rust as text: which modules and crates a source names. Good enough for
//! formatted code without block comments; no parser.

/// Every module path that follows `crate::`, or as many `super::` as lead to
/// the root and on to what `is_module` knows; also inside of braces.
pub(crate) fn modules_named(
    module: &str,
    code: &str,
    is_module: impl Fn(&str) -> bool,
) -> Vec<String> {
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let starts_a_path = |at: usize| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    };
    let mut named = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        if starts_a_path(at) {
            expand("", &code[at + prefix.len()..], &mut named);
        }
    }
    let depth = module.split("::").count();
    for (at, _) in code.match_indices("super::") {
        let path = code[at..].trim_start_matches("super::");
        let climbs = (code.len() - at - path.len()) / "super::".len();
        if starts_a_path(at) && climbs >= depth {
            // An inline `mod tests` is one deeper, and names its own module so.
            let mut below_root = Vec::new();
            expand("", path, &mut below_root);
            below_root.retain(|named| is_module(named));
            named.append(&mut below_root);
        }
    }
    named
}

/// Follows one path, or each path of a group in braces; returns what is left.
fn expand<'a>(prefix: &str, path: &'a str, named: &mut Vec<String>) -> &'a str {
    if let Some(mut rest) = path.strip_prefix('{') {
        loop {
            rest = expand(prefix, rest.trim_start(), named).trim_start();
            match rest.strip_prefix(',') {
                Some(next) if next.trim_start().starts_with('}') => rest = next.trim_start(),
                Some(next) => {
                    rest = next;
                    continue;
                }
                None => {}
            }
            return rest.strip_prefix('}').unwrap_or("");
        }
    }
    let end = path
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(path.len());
    let (segment, rest) = path.split_at(end);
    let joined = match (prefix, segment) {
        (prefix, "" | "self" | "*") => prefix.to_owned(),
        ("", segment) => segment.to_owned(),
        (prefix, segment) => format!("{prefix}::{segment}"),
    };
    if let Some(deeper) = rest.strip_prefix("::") {
        return expand(&joined, deeper, named);
    }
    named.push(joined);
    // An alias belongs to the name before it.
    match rest.strip_prefix(" as ") {
        Some(alias) => alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        None => rest.strip_prefix('*').unwrap_or(rest),
    }
}

/// Whether a path begins with the crate's name, or `use` brings it in.
pub(crate) fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        // What stands before a leading `::` tells whether it is one.
        let before = &code[..at];
        let before = before.strip_suffix("::").unwrap_or(before);
        let after = &code[at + name.len()..];
        let starts_a_path = !before.ends_with(|c: char| c.is_alphanumeric() || "_:>".contains(c));
        let is_used = before.trim_end().ends_with("use") && after.starts_with([';', ' ']);
        starts_a_path && !in_a_group(before) && (after.starts_with("::") || is_used)
    })
}

/// Whether the text ends inside of the braces of a path, as in `super::{`.
fn in_a_group(before: &str) -> bool {
    let mut closed = 0;
    for (at, c) in before.char_indices().rev() {
        match c {
            '}' => closed += 1,
            '{' if closed == 0 => return before[..at].ends_with("::"),
            '{' => closed -= 1,
            _ => {}
        }
    }
    false
}

/// Leaves out comments and the inside of literals, so that prose may name
/// anything.
pub(crate) fn without_comments_and_text(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            raw_string(rest)
        } else if c == '"' {
            string(rest)
        } else if rest.starts_with("'\\") || rest.starts_with("'\"'") {
            3
        } else {
            0
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// Length of the string literal at the beginning.
fn string(source: &str) -> usize {
    let mut escaped = true;
    let end = source.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(source.len(), |end| end + 1)
}

/// Length of the raw string literal at the beginning, 0 if there is none.
fn raw_string(source: &str) -> usize {
    let hashes = source[1..].chars().take_while(|c| *c == '#').count();
    if !source[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    let length = source[start..].find(&end);
    length.map_or(source.len(), |length| start + length + end.len())
}
