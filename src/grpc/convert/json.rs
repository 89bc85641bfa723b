//! `google.protobuf.Value` as compact JSON.

use prost_types::{Value, value::Kind};

use crate::domain::Invalid;

/// The largest number below which every integer is exact in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The JSON text of a value, its keys sorted. Numbers without a fraction become
/// integers, as they were most likely written.
pub(super) fn from_value(value: Value) -> Result<Vec<u8>, Invalid> {
    let json = to_json(value)?;
    serde_json::to_vec(&json).map_err(|error| Invalid::new(format!("is no JSON: {error}")))
}

fn to_json(value: Value) -> Result<serde_json::Value, Invalid> {
    Ok(match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(bool)) => bool.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::NumberValue(number)) => number_to_json(number)?,
        Some(Kind::ListValue(list)) => list
            .values
            .into_iter()
            .map(to_json)
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        Some(Kind::StructValue(object)) => object
            .fields
            .into_iter()
            .map(|(key, value)| Ok((key, to_json(value)?)))
            .collect::<Result<serde_json::Map<_, _>, _>>()?
            .into(),
    })
}

fn number_to_json(number: f64) -> Result<serde_json::Value, Invalid> {
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "an integer below 2^53 fits"
        )]
        return Ok((number as i64).into());
    }
    serde_json::Number::from_f64(number)
        .map(serde_json::Value::Number)
        .ok_or_else(|| Invalid::new("must not contain NaN or infinity, which JSON lacks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_becomes_compact_json() {
        let number = |n| Value {
            kind: Some(Kind::NumberValue(n)),
        };
        let fields = [
            ("b", number(1.5)),
            ("a", number(3.0)),
            ("c", Value { kind: None }),
        ];
        let object = Value {
            kind: Some(Kind::StructValue(prost_types::Struct {
                fields: fields.map(|(k, v)| (k.to_owned(), v)).into(),
            })),
        };
        let text = from_value(object).unwrap();
        assert_eq!(text, br#"{"a":3,"b":1.5,"c":null}"#);
        assert_eq!(from_value(number(1e300)).unwrap(), b"1e+300");
        assert!(from_value(number(f64::NAN)).is_err());
        assert!(from_value(number(f64::INFINITY)).is_err());
    }
}
