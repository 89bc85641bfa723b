//! Values that are never shown.

use std::{fmt, marker::PhantomData, str::FromStr};

use super::format::{Format, quoted};
use crate::domain::{KeyText, RootKeys};

/// What stands for a password that is not shown.
const HIDDEN: &str = "***";

/// The URL of a database; empty if there is none. Shows itself without its
/// password.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The URL with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whatever could be part of a password is left out, even if that is not where
/// one belongs.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str(if self.is_empty() { "" } else { HIDDEN });
        };
        write!(f, "{scheme}://")?;
        let place = match rest.rsplit_once('@') {
            None => rest,
            Some((user, place)) => {
                match user.split_once(':') {
                    None => write!(f, "{user}@")?,
                    Some((user, _)) => write!(f, "{user}:{HIDDEN}@")?,
                }
                place
            }
        };
        match place.split_once('?') {
            Some((place, query)) if query.contains("password") => write!(f, "{place}?{HIDDEN}"),
            _ => f.write_str(place),
        }
    }
}

/// The URL of a database.
pub(super) struct Database;

impl Format for Database {
    type Value = DatabaseUrl;

    const IS_SECRET: bool = true;

    fn parse(text: &str) -> Option<DatabaseUrl> {
        let schemes = ["postgres://", "postgresql://"];
        let is_url = schemes.iter().any(|scheme| text.starts_with(scheme));
        (text.is_empty() || is_url).then(|| DatabaseUrl(text.to_owned()))
    }

    fn write(value: &DatabaseUrl) -> String {
        quoted(value)
    }

    fn expected() -> String {
        "empty, or a URL such as \"postgres://user:password@host:5432/database\"".to_owned()
    }
}

/// A key that need not be there, and is never shown.
pub(super) struct Hidden<T>(PhantomData<T>);

/// A value that is never shown.
pub(super) trait Secret: FromStr {
    /// What it is, as the end of "must be empty, or ...".
    const WHAT: &str;
}

impl Secret for KeyText {
    const WHAT: &str = "a key that `postrider admin-key` printed";
}

impl Secret for RootKeys {
    const WHAT: &str = "the base64 of 32 random bytes, as `openssl rand -base64 32` prints it, \
                        and older ones after it";
}

impl<T: Secret> Format for Hidden<T> {
    type Value = Option<T>;

    const IS_SECRET: bool = true;

    fn parse(text: &str) -> Option<Self::Value> {
        match text {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        }
    }

    fn write(value: &Self::Value) -> String {
        quoted(value.as_ref().map_or("", |_| HIDDEN))
    }

    fn expected() -> String {
        format!("empty, or {}", T::WHAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RootKey;

    #[test]
    fn a_key_is_not_shown() {
        let key = RootKey::generate([7; 32]);
        let read = Hidden::<RootKeys>::parse(&key.expose()).unwrap();
        assert_eq!(Hidden::write(&read), "\"***\"");
        assert_eq!(read.map(|keys| keys.newest), Some(key));
        assert_eq!(Hidden::<RootKeys>::parse(""), Some(None));
        assert_eq!(Hidden::<KeyText>::parse("pr_no_key"), None);
    }

    #[test]
    fn no_way_of_writing_a_password_shows_it() {
        let shown = [
            ("", ""),
            ("postgres://db/hooks", "postgres://db/hooks"),
            ("postgres://me@db/hooks", "postgres://me@db/hooks"),
            ("postgres://me:hush@db:1/x", "postgres://me:***@db:1/x"),
            ("postgres://me:h/u?s@h@db/x", "postgres://me:***@db/x"),
            (
                "postgres://db/x?sslmode=require",
                "postgres://db/x?sslmode=require",
            ),
            ("postgres://db/x?password=hush", "postgres://db/x?***"),
        ];
        for (text, expected) in shown {
            let url = Database::parse(text).unwrap();
            assert_eq!(url.to_string(), expected);
            assert_eq!(format!("{url:?}"), expected);
            assert_eq!(url.expose(), text);
        }
        assert_eq!(Database::parse("host=db password=hush"), None);
    }
}
