//! An object as JSON, as kubectl would send it.

use serde_json::{Map, Number, Value};

use crate::yaml::{NodeKind, Scalar};

use super::field::Field;

/// Aliases can nest what is shallow in the text; deeper than this is no object of Kubernetes.
const DEEPEST: usize = 256;

/// The value of a field, aliases and merges resolved.
pub(super) fn value(field: Field<'_, '_, '_>) -> Value {
    convert(field, 0)
}

fn convert(field: Field<'_, '_, '_>, depth: usize) -> Value {
    if depth == DEEPEST {
        field.wrong("is nested too deeply");
        return Value::Null;
    }
    match field.view.kind() {
        NodeKind::Scalar => scalar(field.view.scalar()),
        NodeKind::Sequence => {
            let items = field.items().map(|item| convert(item, depth + 1));
            Value::Array(items.collect())
        }
        NodeKind::Mapping => {
            let Some(mapping) = field.mapping() else {
                return Value::Null;
            };
            let entries = mapping.entries();
            let entries = entries.map(|(key, value)| (key.to_owned(), convert(value, depth + 1)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

fn scalar(scalar: Option<Scalar<'_>>) -> Value {
    match scalar {
        None | Some(Scalar::Null) => Value::Null,
        Some(Scalar::Bool(value)) => Value::Bool(value),
        Some(Scalar::Int(int)) => Number::from_i128(int).map_or_else(
            || float(int.to_string().parse().unwrap_or(f64::NAN)),
            Value::Number,
        ),
        Some(Scalar::Float(value)) => float(value),
        Some(Scalar::String(text)) => Value::String(text.to_owned()),
    }
}

fn float(value: f64) -> Value {
    // kubectl writes a float without a fraction as an integer.
    let whole = (value.fract() == 0.0).then(|| format!("{value:.0}").parse::<i64>().ok());
    let number = whole.flatten().map(Number::from);
    let number = number.or_else(|| Number::from_f64(value));
    number.map_or(Value::Null, Value::Number)
}
