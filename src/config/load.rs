//! Lays the sources over each other: file, environment, flags.

use std::{
    collections::BTreeMap,
    env, fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{Config, Error, Key, Source, closest::closest, conflicts::conflicts};

const DEFAULT_FILE: &str = "postrider.toml";
const FILE_VARIABLE: &str = "POSTRIDER_CONFIG";
const PREFIX: &str = "POSTRIDER_";

/// A value given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The flag, with its dashes.
    pub name: &'static str,
    /// Path of the key it sets, such as `server.listen`.
    pub key: &'static str,
    /// The value as it was given.
    pub text: String,
}

/// A configuration and where each of its values came from.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    sources: BTreeMap<String, Source>,
}

impl Loaded {
    /// Where the value of a key came from.
    pub fn source(&self, key: &Key) -> &Source {
        self.sources.get(&key.path()).unwrap_or(&Source::Default)
    }
}

/// Reads the file and the environment and lays the flags over them. Without a
/// path, `POSTRIDER_CONFIG` names the file; without that, `postrider.toml` is
/// read if there is one. A file that was named must exist.
pub fn load(path: Option<PathBuf>, flags: &[Flag]) -> Result<Loaded, Error> {
    let named = path.or_else(|| env::var_os(FILE_VARIABLE).map(PathBuf::from));
    let file = match named {
        Some(path) => Some(read(path)?),
        None if Path::new(DEFAULT_FILE).exists() => Some(read(PathBuf::from(DEFAULT_FILE))?),
        None => None,
    };
    let environment: Vec<_> = env::vars_os()
        .filter_map(|(name, text)| {
            let name = name.into_string().ok()?;
            Some((name, text.to_string_lossy().into_owned()))
        })
        .collect();
    resolve(file.as_ref(), &environment, flags)
}

fn read(path: PathBuf) -> Result<(PathBuf, String), Error> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "; a file that is named must exist",
                _ => "",
            };
            let path = path.display();
            Err(Error(vec![format!("file {path}: {error}{hint}")]))
        }
    }
}

/// The configuration that the sources make together, or all that is wrong.
fn resolve(
    file: Option<&(PathBuf, String)>,
    environment: &[(String, String)],
    flags: &[Flag],
) -> Result<Loaded, Error> {
    let mut layers = Layers::default();
    if let Some((path, text)) = file {
        layers.file(path, text);
    }
    layers.environment(environment);
    for flag in flags {
        let (section, name) = flag.key.split_once('.').unwrap_or((flag.key, ""));
        layers.set(section, name, &flag.text, Source::Flag(flag.name));
    }
    layers.check();
    if layers.problems.is_empty() {
        return Ok(layers.loaded);
    }
    layers.problems.sort_by_key(|(source, _)| source.rank());
    let problems = layers.problems.iter();
    Err(Error(
        problems
            .map(|(source, what)| format!("{source}: {what}"))
            .collect(),
    ))
}

/// A value as it is written in the environment: a list has commas.
fn text_of(value: &DeValue<'_>) -> String {
    let items = value.as_array().and_then(|items| {
        let items = items.iter().map(|item| item.get_ref().as_str());
        items.collect::<Option<Vec<_>>>()
    });
    match (value, items) {
        (DeValue::String(text), _) => text.to_string(),
        (DeValue::Integer(number), _) => number.to_string(),
        (DeValue::Boolean(switch), _) => switch.to_string(),
        (_, Some(items)) => items.join(", "),
        (other, None) => format!("<{}>", other.type_str()),
    }
}

#[derive(Default)]
struct Layers {
    loaded: Loaded,
    problems: Vec<(Source, String)>,
}

impl Layers {
    fn file(&mut self, path: &Path, text: &str) {
        let line = |span: Range<usize>| {
            let before = text.get(..span.start).unwrap_or(text);
            Source::File(path.to_owned(), before.matches('\n').count() + 1)
        };
        let document = match DeTable::parse(text) {
            Ok(document) => document.into_inner(),
            Err(error) => {
                let source = line(error.span().unwrap_or(0..0));
                return self.problem(&source, error.message());
            }
        };
        for (section, table) in &document {
            let source = line(section.span());
            let section = section.get_ref();
            if !self.is_section(section) {
                self.unknown_section(section, &source);
                continue;
            }
            let DeValue::Table(table) = table.get_ref() else {
                self.problem(&source, &format!("{section} must be a table, [{section}]"));
                continue;
            };
            for (name, value) in table {
                let source = line(name.span());
                self.set(section, name.get_ref(), &text_of(value.get_ref()), source);
            }
        }
    }

    fn environment(&mut self, environment: &[(String, String)]) {
        for (variable, text) in environment {
            if !variable.starts_with(PREFIX) || variable == FILE_VARIABLE {
                continue;
            }
            let source = Source::Environment(variable.clone());
            match self.keys().find(|key| key.variable() == *variable) {
                Some(key) => self.set(key.section, key.name, text, source),
                None if is_service_link(variable) => {}
                None => {
                    let variables: Vec<_> = self.keys().map(Key::variable).collect();
                    let near = closest(variable, variables.iter().map(String::as_str));
                    self.problem(&source, &format!("sets no key{}", did_you_mean(near)));
                }
            }
        }
    }

    fn set(&mut self, section: &str, name: &str, text: &str, source: Source) {
        let Some(key) = self
            .keys()
            .find(|key| key.section == section && key.name == name)
        else {
            return self.unknown_key(section, name, &source);
        };
        let path = key.path();
        let config = &mut self.loaded.config;
        let accepted = config
            .section_mut(section)
            .is_some_and(|section| section.set(name, text));
        if accepted {
            self.loaded.sources.insert(path, source);
        } else {
            let expected = (key.expected)();
            let found = if key.is_secret {
                String::new()
            } else {
                format!(" is {text:?},")
            };
            self.problem(&source, &format!("{path}{found} must be {expected}"));
        }
    }

    /// What only the values together show, once each is right by itself: what is
    /// not right was not taken, and would be missed.
    fn check(&mut self) {
        if !self.problems.is_empty() {
            return;
        }
        for (paths, what) in conflicts(&self.loaded.config) {
            self.conflict(paths, &what);
        }
    }

    /// A problem of values together, told of the first that somebody set.
    fn conflict(&mut self, paths: &[&str], what: &str) {
        let sources = &self.loaded.sources;
        let set = paths.iter().find_map(|path| sources.get(*path));
        let source = set.unwrap_or(&Source::Default).clone();
        self.problem(&source, what);
    }

    fn unknown_section(&mut self, name: &str, source: &Source) {
        let sections = self.loaded.config.sections().map(super::Section::name);
        let near = closest(name, sections.into_iter());
        let near = near.map(|name| format!("[{name}]"));
        let hint = did_you_mean(near.as_deref());
        self.problem(source, &format!("there is no section [{name}]{hint}"));
    }

    fn unknown_key(&mut self, section: &str, name: &str, source: &Source) {
        let names = self
            .keys()
            .filter(|key| key.section == section)
            .map(|key| key.name);
        let near = closest(name, names).map(|name| format!("{section}.{name}"));
        let hint = did_you_mean(near.as_deref());
        self.problem(source, &format!("there is no key {section}.{name}{hint}"));
    }

    fn problem(&mut self, source: &Source, what: &str) {
        self.problems.push((source.clone(), what.to_owned()));
    }

    fn is_section(&self, name: &str) -> bool {
        let sections = self.loaded.config.sections();
        sections.iter().any(|section| section.name() == name)
    }

    fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        let sections = self.loaded.config.sections();
        sections.map(super::Section::keys).into_iter().flatten()
    }
}

/// Whether Kubernetes sets this variable in every pod beside a Service whose
/// name begins with "postrider"; it is then no misspelt key.
fn is_service_link(variable: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"]
        .iter()
        .any(|part| variable.contains(part))
        || variable.ends_with("_PORT")
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map_or_else(
        || "; `postrider config show --reference` lists them all".to_owned(),
        |near| format!("; did you mean {near}?"),
    )
}

#[cfg(test)]
mod tests;
