//! Hrana 3 as JSON: what is sent, and what comes back. Only what is used of it
//! (<https://github.com/tursodatabase/libsql/blob/main/docs/HRANA_3_SPEC.md>).

use std::borrow::Cow;
use std::fmt;

use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::engine::{DecodePaddingMode, Engine as _};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use sqlitrest_runtime::value::{Value, ValueRef};

/// Servers leave the padding out, and take either form.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// What is sent at once: to a stream that goes on where there is a baton, to a new one where there is none.
#[derive(Serialize)]
pub struct Pipeline<'a> {
    pub baton: Option<&'a str>,
    pub requests: Vec<Ask<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ask<'a> {
    /// Statements, one after the other.
    Batch { batch: Batch<'a> },
    /// The stream ends; a transaction that is open is rolled back.
    Close,
}

#[derive(Serialize)]
pub struct Batch<'a> {
    pub steps: Vec<Step<'a>>,
}

#[derive(Serialize)]
pub struct Step<'a> {
    /// It is run where this holds, or always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    pub stmt: Stmt<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Condition {
    /// That step went well.
    Ok { step: usize },
    /// That does not hold.
    Not { cond: Box<Condition> },
    /// No transaction is open.
    IsAutocommit,
}

impl Condition {
    /// A transaction is open.
    pub fn in_transaction() -> Condition {
        Condition::Not { cond: Box::new(Condition::IsAutocommit) }
    }
}

#[derive(Serialize)]
pub struct Stmt<'a> {
    pub sql: &'a str,
    pub args: Vec<Arg<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Arg<'a> {
    Null,
    /// As text, since JSON's readers have 53 bits.
    Integer {
        value: String,
    },
    Float {
        value: f64,
    },
    Text {
        value: &'a str,
    },
    Blob {
        base64: String,
    },
}

impl<'a> Arg<'a> {
    /// A value that is bound. None for an infinite number, which JSON has no word for.
    pub fn of(value: &'a Value) -> Option<Arg<'a>> {
        Some(match value {
            Value::Null => Arg::Null,
            Value::Integer(i) => Arg::Integer { value: i.to_string() },
            Value::Real(r) if !r.is_finite() => return None,
            Value::Real(r) => Arg::Float { value: *r },
            Value::Text(text) => Arg::Text { value: text },
            Value::Blob(bytes) => Arg::Blob { base64: BASE64.encode(bytes) },
        })
    }
}

#[derive(Deserialize)]
pub struct Reply<'a> {
    /// With which the stream goes on.
    pub baton: Option<String>,
    /// Where it goes on, where that is elsewhere.
    pub base_url: Option<String>,
    #[serde(borrow)]
    pub results: Vec<Outcome<'a>>,
}

/// Of one request of a pipeline: the one or the other.
#[derive(Deserialize)]
pub struct Outcome<'a> {
    #[serde(borrow, default)]
    pub response: Option<Response<'a>>,
    #[serde(default)]
    pub error: Option<Failure>,
}

#[derive(Deserialize)]
pub struct Response<'a> {
    #[serde(borrow, default)]
    pub result: Option<Steps<'a>>,
}

/// Of each step: its rows, why it failed, or neither where its condition did not hold.
#[derive(Deserialize)]
pub struct Steps<'a> {
    #[serde(borrow)]
    pub step_results: Vec<Option<Rows<'a>>>,
    pub step_errors: Vec<Option<Failure>>,
}

#[derive(Deserialize)]
pub struct Rows<'a> {
    pub cols: Vec<Column>,
    #[serde(borrow)]
    pub rows: Vec<Vec<Cell<'a>>>,
    /// How many rows the statement wrote.
    #[serde(default)]
    pub affected_row_count: u64,
}

#[derive(Deserialize)]
pub struct Column {
    pub name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Failure {
    pub message: String,
    #[serde(default)]
    pub code: Option<String>,
}

#[derive(Deserialize)]
pub struct Cell<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(borrow, default)]
    value: Scalar<'a>,
    #[serde(borrow, default)]
    base64: Scalar<'a>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Null,
    Integer,
    Float,
    Text,
    Blob,
}

/// A text or a number, borrowed where the JSON has it as it is.
#[derive(Default)]
enum Scalar<'a> {
    #[default]
    Null,
    Text(Cow<'a, str>),
    Number(f64),
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(number))
            }

            // A whole number that is written without its point.
            fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(number as f64))
            }

            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Null)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A value of a row, with what it stands on.
pub enum Held<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Blob(Vec<u8>),
}

impl<'a> Cell<'a> {
    /// Its value; none where it is not of the form that its type has. An infinite number comes as null, and is one.
    pub fn hold(self) -> Option<Held<'a>> {
        Some(match (self.kind, self.value, self.base64) {
            (Kind::Null, ..) | (Kind::Float, Scalar::Null, _) => Held::Null,
            (Kind::Integer, Scalar::Text(digits), _) => Held::Integer(digits.parse().ok()?),
            (Kind::Float, Scalar::Number(number), _) => Held::Real(number),
            (Kind::Text, Scalar::Text(text), _) => Held::Text(text),
            (Kind::Blob, _, Scalar::Text(text)) => Held::Blob(BASE64.decode(text.as_bytes()).ok()?),
            _ => return None,
        })
    }
}

impl Held<'_> {
    /// As the core takes it.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Held::Null => ValueRef::Null,
            Held::Integer(i) => ValueRef::Integer(*i),
            Held::Real(r) => ValueRef::Real(*r),
            Held::Text(text) => ValueRef::Text(text.as_bytes()),
            Held::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_they_are_sent() {
        let values = [
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Real(0.1),
            Value::Text("a\"ß".to_owned()),
            Value::Blob(vec![0]),
        ];
        let args: Vec<Arg<'_>> = values.iter().filter_map(Arg::of).collect();
        assert_eq!(
            serde_json::to_string(&args).expect("JSON"),
            r#"[{"type":"null"},{"type":"integer","value":"-9223372036854775808"},{"type":"float","value":0.1},{"type":"text","value":"a\"ß"},{"type":"blob","base64":"AA"}]"#
        );
        assert!(Arg::of(&Value::Real(f64::INFINITY)).is_none());
    }

    #[test]
    fn values_as_they_come() {
        let held = |json: &str| {
            let cell: Cell<'_> = serde_json::from_str(json).expect(json);
            cell.hold().map(|held| held.as_ref().to_value())
        };
        for (json, expected) in [
            (r#"{"type":"null"}"#, Some(Value::Null)),
            (r#"{"type":"integer","value":"9223372036854775807"}"#, Some(Value::Integer(i64::MAX))),
            (r#"{"type":"float","value":5e-324}"#, Some(Value::Real(5e-324))),
            (r#"{"type":"float","value":2}"#, Some(Value::Real(2.0))),
            (r#"{"type":"float","value":null}"#, Some(Value::Null)),
            (r#"{"value":"a\n","type":"text"}"#, Some(Value::Text("a\n".to_owned()))),
            (r#"{"type":"blob","base64":"AAE"}"#, Some(Value::Blob(vec![0, 1]))),
            (r#"{"type":"blob","base64":"AAE="}"#, Some(Value::Blob(vec![0, 1]))),
            (r#"{"type":"integer","value":"1e3"}"#, None),
            (r#"{"type":"blob","base64":"*"}"#, None),
            (r#"{"type":"text"}"#, None),
        ] {
            assert_eq!(held(json), expected, "{json}");
        }
        for bad in [r#"{"type":"text","value":{}}"#, r#"{"type":"date","value":"x"}"#, r#"{"value":"x"}"#] {
            assert!(serde_json::from_str::<Cell<'_>>(bad).is_err(), "{bad}");
        }
    }
}
