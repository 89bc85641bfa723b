//! How a section is declared: a struct whose doc comments, types and defaults
//! are at the same time the table of its keys.

/// One key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The section it stands in.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The default, as TOML.
    pub default: fn() -> String,
    /// Which values it takes, as the end of "must be ...".
    pub expected: fn() -> String,
    /// Whether its values are not to be shown.
    pub is_secret: bool,
}

impl Key {
    /// `section.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("POSTRIDER_{}_{}", self.section, self.name).to_uppercase()
    }
}

/// A section of the configuration, key by key.
pub trait Section {
    /// Name of its table in the file.
    fn name(&self) -> &'static str;
    /// What it is about.
    fn about(&self) -> &'static str;
    /// Its keys, in the order they are shown.
    fn keys(&self) -> &'static [Key];
    /// Sets the value of a key of this section; false if the text is none.
    fn set(&mut self, name: &str, text: &str) -> bool;
    /// The value of a key of this section, as TOML.
    fn get(&self, name: &str) -> Option<String>;
}

/// Declares a section: `key: type as format = default`.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        struct $Section:ident in $section:literal {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $Type:ty as $Format:ty = $default:expr,
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $Section {
            $($(#[doc = $doc])+ pub $key: $Type,)+
        }

        impl Default for $Section {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $crate::config::Section for $Section {
            fn name(&self) -> &'static str {
                $section
            }

            fn about(&self) -> &'static str {
                concat!($($about),+).trim_ascii()
            }

            fn keys(&self) -> &'static [$crate::config::Key] {
                const KEYS: &[$crate::config::Key] = &[$($crate::config::Key {
                    section: $section,
                    name: stringify!($key),
                    about: concat!($($doc),+).trim_ascii(),
                    default: || <$Format>::write(&$default),
                    expected: <$Format>::expected,
                    is_secret: <$Format>::IS_SECRET,
                },)+];
                KEYS
            }

            fn set(&mut self, name: &str, text: &str) -> bool {
                match name {
                    $(stringify!($key) => <$Format>::parse(text)
                        .map(|value| self.$key = value)
                        .is_some(),)+
                    _ => false,
                }
            }

            fn get(&self, name: &str) -> Option<String> {
                match name {
                    $(stringify!($key) => Some(<$Format>::write(&self.$key)),)+
                    _ => None,
                }
            }
        }
    };
}

pub(super) use section;
