//! Reads the sources and holds them to ARCHITECTURE.md: which module may name
//! which, what `domain` may contain, where a crate may be named, how long a
//! file may be.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::source::{modules_named, names_crate, without_comments_and_text};

const MAX_LINES: usize = 400;

/// Each module and the modules it may name beside itself. The longest match
/// counts, and a module stands for everything below it.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("storage", &["domain"]),
    ("storage::embedded", &["storage", "domain"]),
    ("storage::postgres", &["storage", "domain"]),
    ("resolve", &["domain"]),
    ("control", &["domain", "storage", "resolve"]),
    ("dispatch", &["domain", "storage", "resolve"]),
    ("proto", &[]),
    ("grpc", &["domain", "control", "proto"]),
    ("http", &["domain", "control", "grpc", "proto"]),
    ("config", &["domain"]),
    ("telemetry", &["config"]),
    (
        "bootstrap",
        &[
            "domain",
            "storage",
            "storage::embedded",
            "storage::postgres",
            "resolve",
            "control",
            "dispatch",
            "proto",
            "grpc",
            "http",
            "config",
            "telemetry",
        ],
    ),
    ("cli", &["config", "bootstrap", "proto"]),
];

/// A crate and the only modules that may name it.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("cel", &["control::filter"]),
    ("sled", &["storage::embedded::sled"]),
    ("fjall", &["storage::embedded::fjall"]),
    ("sfa", &["storage::embedded::fjall"]),
    ("tonic", &["grpc", "http", "proto", "bootstrap", "cli"]),
    ("prost", &["grpc", "http", "proto", "bootstrap", "cli"]),
    ("hickory_resolver", &["resolve"]),
    ("reqwest", &["cli"]),
    ("tokio_rustls", &["dispatch::net", "grpc::server"]),
    ("anyhow", &["bootstrap", "cli", "main"]),
    ("clap", &["cli", "main"]),
    ("toml", &["config"]),
];

/// What the pure module must not contain.
const NOT_IN_DOMAIN: &[&str] = &[
    "async ",
    ".await",
    "Serialize",
    "Deserialize",
    "SystemTime::now",
    "Instant::now",
    "tokio",
    "std::fs",
    "std::net::Tcp",
];

/// What is wrong with a file, given its path below src and its text.
fn violations(path: &str, text: &str) -> Vec<String> {
    let module = module_of(path);
    let code = without_comments_and_text(text);
    let mut found = Vec::new();
    let mut say = |what: String| found.push(format!("src/{path}: {what}"));

    let lines = text.lines().count();
    if lines > MAX_LINES {
        say(format!(
            "has {lines} lines, at most {MAX_LINES} are allowed"
        ));
    }
    if !text.starts_with("//!") && !path.ends_with("tests.rs") {
        say("does not begin with its `//!` head".to_owned());
    }
    for named in modules_named(&module, &code, |name| row_of(name).is_some()) {
        if !may_name(&module, &named) {
            say(format!("{module} may not name {named}"));
        }
    }
    for (name, places) in ONLY_IN {
        let allowed = places.iter().any(|place| is_within(&module, place));
        if !allowed && names_crate(&code, name) {
            say(format!("{module} may not name the crate {name}"));
        }
    }
    if is_within(&module, "domain") {
        for part in NOT_IN_DOMAIN.iter().filter(|part| code.contains(**part)) {
            say(format!("domain may not contain {:?}", part.trim()));
        }
    }
    found
}

/// `storage/embedded/rows.rs` is `storage::embedded::rows`.
fn module_of(path: &str) -> String {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.replace('/', "::")
}

fn is_within(module: &str, place: &str) -> bool {
    module
        .strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The longest row of the table that the module belongs to.
fn row_of(module: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    MAY_NAME
        .iter()
        .filter(|(name, _)| is_within(module, name))
        .max_by_key(|(name, _)| name.len())
}

fn may_name(module: &str, named: &str) -> bool {
    // The root draws everything together.
    if module == "lib" || module == "main" {
        return true;
    }
    let (Some((row, allowed)), Some((other, _))) = (row_of(module), row_of(named)) else {
        return false;
    };
    row == other || allowed.contains(other)
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("src can be read");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("src can be listed").path())
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    files.sort();
    files
}

#[test]
fn the_sources_hold_to_the_architecture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&root);
    assert!(files.len() > 20, "the sources were found");
    let found: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(&root).expect("below src");
            let text = fs::read_to_string(file).expect("a source can be read");
            violations(&path.to_string_lossy(), &text)
        })
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_root_holds_only_what_is_expected_there() {
    const ROOT: &[&str] = &[
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "Dockerfile",
        "LICENSE",
        "README.md",
        "benches",
        "build.rs",
        "docs",
        "helm",
        "proto",
        "rust-toolchain.toml",
        "src",
        "target",
        "tests",
    ];
    let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the root can be read");
    let strangers: Vec<_> = entries
        .map(|entry| entry.expect("the root can be listed").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !ROOT.contains(&name.as_str()))
        .collect();
    assert_eq!(strangers, Vec::<String>::new());
}

#[test]
fn a_module_that_names_too_much_is_found() {
    let bad = |path: &str, line: &str| violations(path, &format!("//! Head.\n{line}\n"));
    let good = |path: &str, line: &str| assert_eq!(bad(path, line), Vec::<String>::new());

    let rows = [
        (
            "control/tail.rs",
            "use crate::dispatch::Dispatcher;",
            "may not name dispatch",
        ),
        (
            "grpc/event.rs",
            "use crate::{domain::Event, storage};",
            "may not name storage",
        ),
        (
            "grpc/event.rs",
            "use crate::{\n  domain::{Event, Id},\n  storage::{self, Error},\n};",
            "storage",
        ),
        (
            "domain/id.rs",
            "fn f() { $crate::storage::Error }",
            "may not name storage",
        ),
        (
            "control/tail.rs",
            "use super::super::{dispatch::Dispatcher};",
            "may not name dispatch",
        ),
        (
            "control/tail.rs",
            "const QUOTE: char = '\\''; fn f(_: crate::grpc::A) {}",
            "may not name grpc",
        ),
        (
            "storage/page.rs",
            "fn f(_: crate::storage::embedded::Row) {}",
            "embedded",
        ),
        ("domain/id.rs", "#[derive(serde::Serialize)]", "Serialize"),
        ("domain/id.rs", "async fn f() {}", "async"),
        (
            "domain/time.rs",
            "let now = SystemTime::now();",
            "SystemTime::now",
        ),
        ("control/tail.rs", "use tonic::Status;", "crate tonic"),
        (
            "storage/embedded/rows.rs",
            "fn f(_: ::sled::Db) {}",
            "crate sled",
        ),
        ("grpc/mod.rs", "use reqwest as http;", "crate reqwest"),
        (
            "elsewhere.rs",
            "use crate::domain::Event;",
            "may not name domain",
        ),
    ];
    for (path, line, expected) in rows {
        let found = bad(path, line).join("\n");
        assert!(found.contains(expected), "{path}: {line}: {found:?}");
    }

    good(
        "control/tail.rs",
        "use crate::{domain::{Event, *}, storage::Error as E};",
    );
    good("storage/embedded/sled.rs", "use sled::Db;");
    good(
        "storage/embedded/mod.rs",
        "mod sled; use sled_like::Db; use self::sled::Store;",
    );
    good(
        "domain/id.rs",
        "// crate::storage says async fn\nconst A: &str = \"Serialize\";",
    );
    good(
        "domain/id.rs",
        "const A: (&str, char, char) = (r#\"a \" crate::storage\"#, '\"', '\\'');",
    );
    good(
        "storage/embedded/open.rs",
        "use super::{key::{self, Key}, sled::Space};",
    );
    good("telemetry/mod.rs", "use super::*;");
    good("lib.rs", "pub use crate::storage::Error;");
}

#[test]
fn a_long_or_headless_file_is_found() {
    let long = format!("//! Head.\n{}", "\n".repeat(MAX_LINES));
    assert_eq!(violations("domain/id.rs", &long).len(), 1);
    let headless = violations("domain/id.rs", "use std::fmt;\n");
    assert!(headless[0].contains("head"), "{headless:?}");
}
