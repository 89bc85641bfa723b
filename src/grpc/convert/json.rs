//! `google.protobuf.Value` as compact JSON. Its numbers are doubles, so they are
//! written as JavaScript writes its own, which are the same.

use std::ops::Range;

use prost_types::{Value, value::Kind};

use crate::domain::Invalid;

/// Magnitudes that are written without an exponent.
const PLAIN: Range<f64> = 1e-6..1e21;

/// The JSON text of a value, its keys sorted.
pub(super) fn from_value(value: &Value) -> Result<String, Invalid> {
    let mut json = String::new();
    write_value(&mut json, value)?;
    Ok(json)
}

fn write_value(json: &mut String, value: &Value) -> Result<(), Invalid> {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => json.push_str("null"),
        Some(Kind::BoolValue(bool)) => json.push_str(if *bool { "true" } else { "false" }),
        Some(Kind::StringValue(text)) => write_text(json, text),
        Some(Kind::NumberValue(number)) => json.push_str(&number_text(*number)?),
        Some(Kind::ListValue(list)) => {
            json.push('[');
            for (n, value) in list.values.iter().enumerate() {
                separate(json, n);
                write_value(json, value)?;
            }
            json.push(']');
        }
        Some(Kind::StructValue(object)) => {
            json.push('{');
            for (n, (key, value)) in object.fields.iter().enumerate() {
                separate(json, n);
                write_text(json, key);
                json.push(':');
                write_value(json, value)?;
            }
            json.push('}');
        }
    }
    Ok(())
}

fn separate(json: &mut String, n: usize) {
    if n > 0 {
        json.push(',');
    }
}

fn write_text(json: &mut String, text: &str) {
    json.push_str(&serde_json::Value::from(text).to_string());
}

/// The fewest digits that read back as the same number; without a fraction
/// where it has none, and with an exponent only where it is very large or very
/// small.
fn number_text(number: f64) -> Result<String, Invalid> {
    if !number.is_finite() {
        return Err(Invalid::new(
            "must not contain NaN or infinity, which JSON lacks",
        ));
    }
    if number == 0.0 {
        return Ok("0".to_owned());
    }
    if PLAIN.contains(&number.abs()) {
        return Ok(number.to_string());
    }
    let text = format!("{number:e}");
    Ok(match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(n: f64) -> Value {
        Value {
            kind: Some(Kind::NumberValue(n)),
        }
    }

    #[test]
    fn a_value_becomes_compact_json() {
        let text = Value {
            kind: Some(Kind::StringValue("\"\u{e9}\n".to_owned())),
        };
        let list = Value {
            kind: Some(Kind::ListValue(prost_types::ListValue {
                values: vec![number(1.5), text],
            })),
        };
        let fields = [("b", list), ("a", number(3.0)), ("c", Value { kind: None })];
        let object = Value {
            kind: Some(Kind::StructValue(prost_types::Struct {
                fields: fields.map(|(k, v)| (k.to_owned(), v)).into(),
            })),
        };
        let text = from_value(&object).unwrap();
        assert_eq!(text, "{\"a\":3,\"b\":[1.5,\"\\\"\u{e9}\\n\"],\"c\":null}");
        assert!(from_value(&number(f64::NAN)).is_err());
        assert!(from_value(&number(f64::INFINITY)).is_err());
    }

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        for (n, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-7.0, "-7"),
            (0.1, "0.1"),
            (25.5, "25.5"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (12_345_678_901_234_568.0, "12345678901234568"),
            (-123_456_789_012_345_680_000.0, "-123456789012345680000"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(from_value(&number(n)).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn a_number_reads_back_as_it_was(n: f64) {
            prop_assume!(n.is_finite());
            let text = from_value(&number(n)).unwrap();
            // Minus zero is written as zero.
            let read: f64 = text.parse().unwrap();
            prop_assert_eq!(read.to_bits(), (n + 0.0).to_bits());
            prop_assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok());
            let plain = n == 0.0 || PLAIN.contains(&n.abs());
            prop_assert_eq!(text.contains('e'), !plain, "{}", text);
        }
    }
}
