//! Lists of values in one text, such as `10.0.0.1, 10.0.0.2`.

use std::marker::PhantomData;

use super::format::{Format, quoted};

/// A format whose values hold no comma and may stand in a list.
pub(super) trait Item {
    /// The type.
    type Value;
    /// The value that the text stands for, if it is one.
    fn parse(text: &str) -> Option<Self::Value>;
    /// The value as text.
    fn write(value: &Self::Value) -> String;
    /// What the items are, with an example of a list.
    const EXPECTED: &'static str;
}

/// Any number of items, separated by commas.
pub(super) struct List<T>(PhantomData<T>);

impl<T: Item> Format for List<T> {
    type Value = Vec<T::Value>;

    fn parse(text: &str) -> Option<Self::Value> {
        if text.is_empty() {
            return Some(Vec::new());
        }
        text.split(',').map(|item| T::parse(item.trim())).collect()
    }

    fn write(value: &Self::Value) -> String {
        let items: Vec<_> = value.iter().map(T::write).collect();
        quoted(items.join(", "))
    }

    fn expected() -> String {
        format!("empty, or a list of {}", T::EXPECTED)
    }
}
