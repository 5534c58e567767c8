//! Functions of the configuration (`[[udf]]`): which one a call means, and its SQL with the arguments bound.
//!
//! <https://docs.postgrest.org/en/stable/references/api/functions.html>

mod sql;

use std::collections::BTreeSet;

use crate::array::parse_array;
use crate::config::{Udf, UdfParam};
use crate::error::Error;
use crate::payload::Json;
use crate::plan::literal;
use crate::schema::ColumnType;
use crate::similar::closest;
use crate::value::Value;

pub use sql::{Ask, Piece, pieces, returning_names};

/// What a call gives, before the function is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Arguments {
    /// Of the query string or a form: names may stand several times.
    Texts(Vec<(String, String)>),
    /// Of a JSON object.
    Json(Vec<(String, Json)>),
}

/// A raw body, for a function of one unnamed parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct RawBody {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The essence of its content type.
    pub content_type: String,
}

/// What a function returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returns {
    /// Nothing.
    Void,
    /// One value, or with `set` any number, of this declared type.
    Value {
        /// The declared type.
        declared: String,
        /// Whether there may be several.
        set: bool,
    },
    /// Rows of an exposed relation.
    Relation {
        /// Its name.
        name: String,
        /// Whether there may be several.
        set: bool,
    },
    /// Rows of columns of its own.
    Record {
        /// Whether there may be several.
        set: bool,
    },
}

impl Returns {
    /// Reads `returns` of the configuration.
    pub fn parse(text: &str) -> Option<Returns> {
        let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let rest = rest.trim().to_owned();
        Some(match (word, rest.as_str()) {
            ("void", "") => Returns::Void,
            ("record", "") => Returns::Record { set: false },
            ("setof", "record") => Returns::Record { set: true },
            ("scalar", _) => Returns::Value { declared: rest, set: false },
            ("setof", _) if !rest.is_empty() => Returns::Value { declared: rest, set: true },
            ("row", _) if !rest.is_empty() => Returns::Relation { name: rest, set: false },
            ("table", _) if !rest.is_empty() => Returns::Relation { name: rest, set: true },
            _ => return None,
        })
    }

    /// Whether there may be several rows.
    pub fn is_set(&self) -> bool {
        match self {
            Returns::Void => false,
            Returns::Value { set, .. } | Returns::Relation { set, .. } | Returns::Record { set } => *set,
        }
    }
}

/// A function with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its place in `Config::udf`.
    pub function: usize,
    /// Its SQL, arguments bound.
    pub sql: Vec<Piece>,
    /// What it returns.
    pub returns: Returns,
    /// Whether it only reads.
    pub readonly: bool,
}

/// Finds the function that a call means and binds its arguments.
///
/// # Errors
/// PGRST202 where none fits, PGRST203 where several do, 22P02 for an argument of the wrong type.
pub fn resolve(
    udfs: &[Udf],
    name: &str,
    arguments: &Arguments,
    raw: Option<&RawBody>,
    ask: Ask<'_>,
) -> Result<Call, Error> {
    let given: BTreeSet<&str> = match arguments {
        Arguments::Texts(pairs) => pairs.iter().map(|(name, _)| name.as_str()).collect(),
        Arguments::Json(pairs) => pairs.iter().map(|(name, _)| name.as_str()).collect(),
    };
    let exposed = || udfs.iter().enumerate().filter(|(_, udf)| udf.expose && udf.name == name);
    let named: Vec<(usize, &Udf)> = exposed().filter(|(_, udf)| takes(udf, &given)).collect();
    match (named.as_slice(), raw) {
        ([(at, udf)], raw) if raw.is_none_or(is_named) => bind(*at, udf, arguments, None, ask),
        ([_, _, ..], _) => Err(Error::AmbiguousFunction {
            name: name.to_owned(),
            candidates: named.iter().map(|(_, udf)| signature(udf)).collect(),
        }),
        (_, Some(raw)) => match exposed().find(|(_, udf)| takes_body(udf, raw)) {
            Some((at, udf)) => bind(at, udf, arguments, Some(raw), ask),
            None => Err(not_found(udfs, name, &given, true)),
        },
        _ => Err(not_found(udfs, name, &given, false)),
    }
}

/// Whether a function can be called without arguments.
pub(crate) fn needs_nothing(udf: &Udf) -> bool {
    takes(udf, &BTreeSet::new())
}

/// The call of a function that nobody gives arguments, exposed or not.
///
/// # Errors
/// Where there is no such function, which the configuration was checked for.
pub(crate) fn without_arguments(udfs: &[Udf], name: &str, ask: Ask<'_>) -> Result<Call, Error> {
    let found = udfs.iter().enumerate().find(|(_, udf)| udf.name == name && needs_nothing(udf));
    let (at, udf) = found.ok_or_else(|| Error::Internal(format!("there is no function {name}")))?;
    bind(at, udf, &Arguments::Texts(Vec::new()), None, ask)
}

/// Whether a body can give named arguments.
fn is_named(raw: &RawBody) -> bool {
    matches!(raw.content_type.as_str(), "application/json" | "application/x-www-form-urlencoded")
}

/// Whether these are arguments of a function: all of them its parameters, and all its required parameters among them.
fn takes(udf: &Udf, given: &BTreeSet<&str>) -> bool {
    let is_raw = udf.params.iter().any(|param| param.name == "$");
    !is_raw
        && given.iter().all(|name| udf.params.iter().any(|param| param.name == *name))
        && udf.params.iter().all(|p| p.default.is_some() || p.variadic || given.contains(p.name.as_str()))
}

fn takes_body(udf: &Udf, raw: &RawBody) -> bool {
    let [param] = udf.params.as_slice() else { return false };
    let column_type = ColumnType::of(&param.declared);
    param.name == "$"
        && match raw.content_type.as_str() {
            "application/json" => column_type == ColumnType::Json,
            "text/plain" => column_type == ColumnType::Text,
            "application/octet-stream" => column_type == ColumnType::Blob,
            _ => false,
        }
}

fn signature(udf: &Udf) -> String {
    let params: Vec<String> = udf
        .params
        .iter()
        .map(|p| if p.declared.is_empty() { p.name.clone() } else { format!("{} => {}", p.name, p.declared) })
        .collect();
    format!("main.{}({})", udf.name, params.join(", "))
}

fn not_found(udfs: &[Udf], name: &str, given: &BTreeSet<&str>, with_body: bool) -> Error {
    let exposed = || udfs.iter().filter(|udf| udf.expose);
    let list = |udf: &Udf| udf.params.iter().map(|p| p.name.clone()).collect::<Vec<_>>().join(", ");
    let wanted = given.iter().copied().collect::<Vec<_>>().join(", ");
    let near = if exposed().any(|udf| udf.name == name) {
        let lists = exposed().filter(|udf| udf.name == name && !udf.params.is_empty()).map(list);
        closest(&wanted, lists).map(|list| format!("{name}({list})"))
    } else {
        closest(name, exposed().map(|udf| udf.name.clone()))
    };
    let arguments = given.iter().map(|name| (*name).to_owned()).collect();
    Error::NoFunction { name: name.to_owned(), arguments, near, with_body }
}

fn bind(
    at: usize,
    udf: &Udf,
    arguments: &Arguments,
    raw: Option<&RawBody>,
    ask: Ask<'_>,
) -> Result<Call, Error> {
    let mut values = Vec::with_capacity(udf.params.len());
    for param in &udf.params {
        let (name, value) = match raw {
            Some(raw) => ("body", body_value(raw)),
            None => (param.name.as_str(), argument(param, arguments)?),
        };
        values.push((name, value));
    }
    let returns = Returns::parse(&udf.returns)
        .ok_or_else(|| Error::Internal(format!("function {}: returns = {:?}", udf.name, udf.returns)))?;
    Ok(Call { function: at, sql: pieces(&udf.sql, &values, Some(ask)), returns, readonly: udf.readonly })
}

fn body_value(raw: &RawBody) -> Value {
    match raw.content_type.as_str() {
        "application/octet-stream" => Value::Blob(raw.bytes.clone()),
        _ => Value::Text(String::from_utf8_lossy(&raw.bytes).into_owned()),
    }
}

fn argument(param: &UdfParam, arguments: &Arguments) -> Result<Value, Error> {
    let array = param.declared.strip_suffix("[]");
    let column_type = if array.is_some() { ColumnType::Json } else { ColumnType::of(&param.declared) };
    let json = match arguments {
        Arguments::Texts(pairs) => {
            let texts: Vec<&str> = pairs
                .iter()
                .filter(|(name, _)| *name == param.name)
                .map(|(_, value)| value.as_str())
                .collect();
            match (param.variadic, array, texts.as_slice()) {
                (true, ..) => return Ok(Value::Text(serde_json::json!(texts).to_string())),
                (_, _, []) => None,
                (_, Some(element), [.., last]) if last.trim_start().starts_with('{') => {
                    return array_argument(element, last);
                }
                (_, _, [.., last]) => return literal::from_text(column_type, last),
            }
        }
        Arguments::Json(pairs) => {
            pairs.iter().rev().find(|(name, _)| *name == param.name).map(|(_, json)| json.clone())
        }
    };
    match (json, &param.default) {
        (Some(json), _) => literal::from_json(column_type, &json),
        (None, Some(default)) => Ok(default_value(default)),
        (None, None) if param.variadic => Ok(Value::Text("[]".to_owned())),
        (None, None) => Ok(Value::Null),
    }
}

/// `{1,2}` as `[1,2]`, elements by the declared type.
fn array_argument(element: &str, text: &str) -> Result<Value, Error> {
    let wrong = || Error::Literal { declared: "json", value: text.to_owned() };
    let elements = parse_array(text).ok_or_else(wrong)?;
    let element_type = ColumnType::of(element);
    let mut items = Vec::with_capacity(elements.len());
    for (text, _) in elements {
        items.push(match literal::from_text(element_type, &text)? {
            Value::Integer(i) => serde_json::json!(i),
            Value::Real(r) => serde_json::json!(r),
            _ => serde_json::json!(text),
        });
    }
    Ok(Value::Text(serde_json::Value::Array(items).to_string()))
}

fn default_value(default: &toml::Value) -> Value {
    match default {
        toml::Value::Integer(i) => Value::Integer(*i),
        toml::Value::Float(r) => Value::Real(*r),
        toml::Value::Boolean(b) => Value::Integer((*b).into()),
        toml::Value::String(text) => Value::Text(text.clone()),
        toml::Value::Datetime(time) => Value::Text(time.to_string()),
        toml::Value::Array(_) | toml::Value::Table(_) => {
            Value::Text(serde_json::to_string(default).unwrap_or_default())
        }
    }
}
