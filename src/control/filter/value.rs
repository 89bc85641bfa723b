//! The values of filters, and what can be done with numbers.

use std::{cmp::Ordering, collections::BTreeMap, rc::Rc};

use serde_json::Value as Json;

use super::{Unanswered, program::Arithmetic};

/// A value, borrowed from the event or the program.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
    /// An array or an object.
    Json(&'a Json),
    List(Rc<[Value<'a>]>),
    Event,
    Attributes(&'a BTreeMap<String, String>),
}

/// A value, or why there is none.
pub(super) type Answer<T> = Result<T, Unanswered>;

pub(super) fn of_json(json: &Json) -> Value<'_> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(_) | Json::Object(_) => Value::Json(json),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "whole numbers beyond 2^53 meet doubles only roughly"
)]
fn as_double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Double(value) => Some(*value),
        _ => None,
    }
}

/// How two numbers stand to each other; `None` for what is no number.
pub(super) fn numeric_order(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        return Some(left.cmp(right));
    }
    as_double(left)?.partial_cmp(&as_double(right)?)
}

pub(super) fn calculate<'a>(
    operator: Arithmetic,
    left: &Value<'_>,
    right: &Value<'_>,
) -> Answer<Value<'a>> {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        let result = match operator {
            Arithmetic::Add => left.checked_add(*right),
            Arithmetic::Subtract => left.checked_sub(*right),
            Arithmetic::Multiply => left.checked_mul(*right),
            Arithmetic::Divide => left.checked_div(*right),
            Arithmetic::Remainder => left.checked_rem(*right),
        };
        let wrong = || Unanswered("divides by zero, or is too large a number".to_owned());
        return result.map(Value::Int).ok_or_else(wrong);
    }
    let (Some(left), Some(right)) = (as_double(left), as_double(right)) else {
        return no(format!(
            "{} and {} are not numbers",
            name(left),
            name(right)
        ));
    };
    Ok(Value::Double(match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => return no("% is for whole numbers"),
    }))
}

/// A number as a whole one, what follows its point cut off; or the whole number
/// that a text is.
pub(super) fn int<'a>(value: &Value<'_>) -> Answer<Value<'a>> {
    match value {
        Value::Int(value) => Ok(Value::Int(*value)),
        Value::Double(value) => whole(*value).map(Value::Int).ok_or_else(too_large),
        Value::Text(text) => match text.parse() {
            Ok(value) => Ok(Value::Int(value)),
            Err(_) => no("the text is no whole number"),
        },
        other => unfit("a number or text", other),
    }
}

/// A number as a double, or the number that a text is.
pub(super) fn double<'a>(value: &Value<'_>) -> Answer<Value<'a>> {
    match value {
        Value::Text(text) => match text.parse() {
            Ok(value) => Ok(Value::Double(value)),
            Err(_) => no("the text is no number"),
        },
        other => match as_double(other) {
            Some(value) => Ok(Value::Double(value)),
            None => unfit("a number or text", other),
        },
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the bounds are those of what it becomes"
)]
fn whole(value: f64) -> Option<i64> {
    let bound = 2.0_f64.powi(63);
    (-bound..bound).contains(&value).then_some(value as i64)
}

pub(super) fn no<T>(why: impl Into<String>) -> Answer<T> {
    Err(Unanswered(why.into()))
}

pub(super) fn unfit<T>(wanted: &str, found: &Value<'_>) -> Answer<T> {
    no(format!("{} stands where {wanted} must be", name(found)))
}

pub(super) fn too_large() -> Unanswered {
    Unanswered("is too large a number".to_owned())
}

/// What the value is; never what it holds.
pub(super) fn name(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Double(_) => "a number",
        Value::Text(_) => "text",
        Value::Json(Json::Object(_)) => "an object",
        Value::Json(_) | Value::List(_) => "a list",
        Value::Event => "the event",
        Value::Attributes(_) => "the attributes",
    }
}
