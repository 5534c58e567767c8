//! Functions of the configuration (`[[udf]]`): which one a call means, and its SQL with the arguments bound.
//!
//! <https://docs.postgrest.org/en/stable/references/api/functions.html>

use std::collections::BTreeSet;

use crate::config::{Udf, UdfParam};
use crate::error::Error;
use crate::filter::parse_array;
use crate::http::Request;
use crate::payload::Json;
use crate::plan::literal;
use crate::schema::ColumnType;
use crate::similar::closest;
use crate::value::Value;

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

/// A piece of a function's SQL.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// SQL of the configuration.
    Sql(String),
    /// An argument.
    Value(Value),
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

/// What of a request a function can ask for: `request_value('request.headers', 'x-name')`. The kinds are PostgREST's
/// settings of the same names.
pub struct Context<'a> {
    /// The request.
    pub request: &'a Request<'a>,
}

impl Context<'_> {
    /// The value, or null.
    fn value(&self, kind: &str, name: Option<&str>) -> Value {
        let text = match (kind, name) {
            ("request.method", _) => Some(self.request.method.to_owned()),
            ("request.path", _) => self.request.target.split('?').next().map(str::to_owned),
            ("request.headers", Some(name)) => {
                self.request.texts(&name.to_ascii_lowercase()).next().map(str::to_owned)
            }
            ("request.cookies", Some(name)) => self
                .request
                .texts("cookie")
                .flat_map(|field| field.split(';'))
                .filter_map(|cookie| cookie.trim().split_once('='))
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.to_owned()),
            _ => None,
        };
        text.map_or(Value::Null, Value::Text)
    }
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
    context: &Context<'_>,
) -> Result<Call, Error> {
    let given: BTreeSet<&str> = match arguments {
        Arguments::Texts(pairs) => pairs.iter().map(|(name, _)| name.as_str()).collect(),
        Arguments::Json(pairs) => pairs.iter().map(|(name, _)| name.as_str()).collect(),
    };
    let exposed = || udfs.iter().enumerate().filter(|(_, udf)| udf.expose && udf.name == name);
    let named: Vec<(usize, &Udf)> = exposed().filter(|(_, udf)| takes(udf, &given)).collect();
    match (named.as_slice(), raw) {
        ([(at, udf)], raw) if raw.is_none_or(is_named) => bind(*at, udf, arguments, None, context),
        ([_, _, ..], _) => Err(Error::AmbiguousFunction {
            name: name.to_owned(),
            candidates: named.iter().map(|(_, udf)| signature(udf)).collect(),
        }),
        (_, Some(raw)) => match exposed().find(|(_, udf)| takes_body(udf, raw)) {
            Some((at, udf)) => bind(at, udf, arguments, Some(raw), context),
            None => Err(not_found(udfs, name, &given, true)),
        },
        _ => Err(not_found(udfs, name, &given, false)),
    }
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
    context: &Context<'_>,
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
    Ok(Call { function: at, sql: pieces(&udf.sql, &values, Some(context)), returns, readonly: udf.readonly })
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

/// The SQL in pieces: outside quotes and comments each `:name` becomes the parameter's value, and each `request_value(…)`
/// what the request says (null where there is none yet).
pub fn pieces(sql: &str, values: &[(&str, Value)], context: Option<&Context<'_>>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = sql.trim().trim_end_matches(';');
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '\'' | '"' | '`' => quoted_end(rest, c),
            '[' => rest.find(']').map_or(rest.len(), |at| at + 1),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            ':' => {
                let name_end = rest
                    .char_indices()
                    .skip(1)
                    .find(|(_, c)| !(c.is_alphanumeric() || *c == '_'))
                    .map_or(rest.len(), |(at, _)| at);
                let name = rest.get(1..name_end).unwrap_or_default();
                if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                    pieces.push(Piece::Sql(std::mem::take(&mut plain)));
                    pieces.push(Piece::Value(value.clone()));
                    rest = rest.get(name_end..).unwrap_or_default();
                    continue;
                }
                c.len_utf8()
            }
            _ if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let word = rest.get(..end).unwrap_or_default();
                let after = rest.get(end..).unwrap_or_default();
                if word.eq_ignore_ascii_case("request_value")
                    && let Some((value, length)) = request_value(after, values, context)
                {
                    pieces.push(Piece::Sql(std::mem::take(&mut plain)));
                    pieces.push(Piece::Value(value));
                    rest = after.get(length..).unwrap_or_default();
                    continue;
                }
                end
            }
            _ => c.len_utf8(),
        };
        let (taken, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        plain.push_str(taken);
        rest = tail;
    }
    pieces.push(Piece::Sql(plain));
    pieces
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The value of `(kind, name)` behind `request_value`, and the length of these parentheses. The arguments are texts in
/// quotes or parameters.
fn request_value(
    text: &str,
    values: &[(&str, Value)],
    context: Option<&Context<'_>>,
) -> Option<(Value, usize)> {
    let inside = text.strip_prefix('(')?;
    let end = inside.find(')')?;
    let mut arguments = Vec::new();
    for argument in inside.get(..end)?.split(',').map(str::trim) {
        arguments.push(match argument.strip_prefix(':') {
            Some(name) => match values.iter().find(|(known, _)| *known == name)? {
                (_, Value::Text(text)) => text.clone(),
                _ => String::new(),
            },
            None => argument.strip_prefix('\'')?.strip_suffix('\'')?.to_owned(),
        });
    }
    let kind = arguments.first()?;
    let value = context.map_or(Value::Null, |c| c.value(kind, arguments.get(1).map(String::as_str)));
    Some((value, end + 2))
}

/// Where the quotes that open here close, doubled ones passed over.
fn quoted_end(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// The names of the columns in a RETURNING clause, where they can be read from it: bare names and aliases.
pub fn returning_names(sql: &str) -> Option<Vec<String>> {
    let at = sql.to_ascii_lowercase().rfind("returning ")?;
    let list = sql.get(at + "returning ".len()..)?.trim().trim_end_matches(';');
    list.split(',')
        .map(|item| {
            let name = item.trim().rsplit([' ', '.']).next()?.trim_matches(['"', '`', '[', ']']);
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            is_name.then(|| name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_found_outside_quotes_and_comments() {
        let sql = "SELECT :a, ':a', \":a\" /* :a */, x::a -- :a\n, :b WHERE c = :unknown;";
        let values = [("a", Value::Integer(1)), ("b", Value::Text("x".to_owned()))];
        let shown: Vec<String> = pieces(sql, &values, None)
            .iter()
            .map(|piece| match piece {
                Piece::Sql(sql) => sql.clone(),
                Piece::Value(value) => format!("«{value:?}»"),
            })
            .collect();
        expect![[r#"
            SELECT «Integer(1)», ':a', ":a" /* :a */, x:«Integer(1)» -- :a
            , «Text("x")» WHERE c = :unknown"#]]
        .assert_eq(&shown.concat());
    }

    #[test]
    fn what_the_request_says() {
        let headers: [(&str, &[u8]); 2] = [("x-name", b"ada"), ("cookie", b"a=1; b=2")];
        let request = Request { method: "POST", target: "/rpc/f?x=1", headers: &headers, body: b"" };
        let values =
            [("k", Value::Text("request.headers".to_owned())), ("n", Value::Text("X-Name".to_owned()))];
        let value = |sql: &str| {
            let pieces = pieces(sql, &values, Some(&Context { request: &request }));
            pieces.into_iter().find_map(|p| if let Piece::Value(value) = p { Some(value) } else { None })
        };
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        assert_eq!(value("SELECT request_value(:k, :n)"), text("ada"));
        assert_eq!(value("SELECT request_value('request.cookies', 'b')"), text("2"));
        assert_eq!(value("SELECT request_value('request.method')"), text("POST"));
        assert_eq!(value("SELECT request_value('request.path')"), text("/rpc/f"));
        assert_eq!(value("SELECT request_value('request.headers', 'none')"), Some(Value::Null));
        assert_eq!(value("SELECT request_value(name)"), None);
    }

    #[test]
    fn returning() {
        assert_eq!(
            returning_names("DELETE FROM t RETURNING id, t.name, \"x\" AS y"),
            Some(vec!["id".into(), "name".into(), "y".into()])
        );
        assert_eq!(returning_names("DELETE FROM t RETURNING *"), None);
        assert_eq!(returning_names("SELECT 1"), None);
    }

    proptest! {
        #[test]
        fn never_panics(sql in "[a-z:'\"`\\[\\]/* é-]{0,60}") {
            let _ = pieces(&sql, &[("a", Value::Null)], None);
            let _ = returning_names(&sql);
        }
    }
}
