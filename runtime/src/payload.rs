//! The body of a write: one JSON object or an array of them, objects on lines, comma-separated values, or a form.
//!
//! Numbers stay text until the column's type is known, so that none loses a digit; objects and arrays stay the text that
//! the client sent.

use std::collections::HashMap;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::query_params::decode;

/// The rows of a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// The column names, in the order of the first object.
    pub columns: Vec<String>,
    /// The rows: for each column its value, `None` where the object has no such key.
    pub rows: Vec<Vec<Option<Json>>>,
    /// Whether the body was an array.
    pub array: bool,
}

/// A JSON value as far as it matters here.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number's text.
    Number(String),
    /// A string, unescaped.
    Text(String),
    /// An object's or array's text.
    Nested(String),
}

/// How many values a body may have, those included that its rows leave out of the columns: these take memory and no
/// bytes.
const MAX_VALUES: usize = 1_000_000;

fn too_many() -> Error {
    Error::TooComplex(format!("a body may have {MAX_VALUES} values"))
}

impl Payload {
    /// Reads a JSON body. With `columns` (the `columns` parameter) other keys are passed over and missing ones allowed;
    /// without, all objects must have the same keys.
    ///
    /// # Errors
    /// PGRST102 where it is not JSON, not rows, or rows of different keys; 54001 where it has too many values.
    pub fn parse(body: &[u8], columns: Option<&[String]>) -> Result<Payload, Error> {
        let text = text(body)?;
        let mut payload = Payload {
            columns: columns.map(<[String]>::to_vec).unwrap_or_default(),
            rows: Vec::new(),
            array: text.trim_start().starts_with('['),
        };
        let mut reader = serde_json::Deserializer::from_str(text);
        let mut rows = Rows::into_payload(&mut payload, columns.is_some());
        rows.deserialize(&mut reader).and_then(|()| reader.end()).map_err(wrong)?;
        Ok(payload)
    }

    /// Reads `application/x-ndjson`: a JSON object on each line that is not empty; otherwise as [`Payload::parse`].
    ///
    /// # Errors
    /// As [`Payload::parse`].
    pub fn parse_lines(body: &[u8], columns: Option<&[String]>) -> Result<Payload, Error> {
        let mut payload = Payload {
            columns: columns.map(<[String]>::to_vec).unwrap_or_default(),
            rows: Vec::new(),
            array: true,
        };
        let mut rows = Rows::into_payload(&mut payload, columns.is_some());
        for line in text(body)?.lines().filter(|line| !line.trim().is_empty()) {
            let mut reader = serde_json::Deserializer::from_str(line);
            Row(&mut rows).deserialize(&mut reader).and_then(|()| reader.end()).map_err(wrong)?;
        }
        Ok(payload)
    }
}

const INVALID: &str = "Empty or invalid json";

fn text(body: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|_| Error::Body(INVALID.to_owned()))
}

/// What a client is told of text that is not JSON, or not rows.
fn wrong(error: serde_json::Error) -> Error {
    match error.to_string() {
        text if text.starts_with(KEYS_MUST_MATCH) => Error::Body(KEYS_MUST_MATCH.to_owned()),
        text if text.starts_with(TOO_MANY_VALUES) => too_many(),
        _ => Error::Body(INVALID.to_owned()),
    }
}

impl Payload {
    /// Reads comma-separated values (RFC 4180): a line of names, then lines of values; `NULL` is null.
    ///
    /// # Errors
    /// PGRST102 where it has no line of names or lines of different lengths; 54001 where it has too many values.
    pub fn parse_csv(body: &[u8], columns: Option<&[String]>) -> Result<Payload, Error> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(body);
        let wrong = |_| Error::Body("Empty or invalid csv".to_owned());
        let header = reader.headers().map_err(wrong)?;
        if header.len() > MAX_VALUES {
            return Err(too_many());
        }
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        let width = names.len().max(columns.map_or(0, <[String]>::len));
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            if (rows.len() + 1).saturating_mul(width) > MAX_VALUES {
                return Err(too_many());
            }
            if record.len() != names.len() {
                return Err(Error::Body("All lines must have same number of fields".to_owned()));
            }
            let value =
                |text: &str| Some(if text == "NULL" { Json::Null } else { Json::Text(text.to_owned()) });
            rows.push(record.iter().map(value).collect());
        }
        Ok(Payload { columns: names, rows, array: true }.picked(columns))
    }

    /// Reads `application/x-www-form-urlencoded`: one row of texts.
    ///
    /// # Errors
    /// PGRST100 for bytes that are not UTF-8.
    pub fn parse_form(body: &[u8], columns: Option<&[String]>) -> Result<Payload, Error> {
        let (names, values): (Vec<String>, Vec<String>) = form_pairs(body)?.into_iter().unzip();
        let row = values.into_iter().map(|value| Some(Json::Text(value))).collect();
        Ok(Payload { columns: names, rows: vec![row], array: false }.picked(columns))
    }

    /// These columns alone, in this order.
    fn picked(self, columns: Option<&[String]>) -> Payload {
        let Some(columns) = columns else { return self };
        let places: Vec<Option<usize>> =
            columns.iter().map(|name| self.columns.iter().position(|own| own == name)).collect();
        let pick = |row: &Vec<Option<Json>>| {
            places.iter().map(|place| place.and_then(|place| row.get(place).cloned().flatten())).collect()
        };
        let rows = self.rows.iter().map(pick).collect();
        Payload { columns: columns.to_vec(), rows, array: self.array }
    }
}

/// The names and values of a form.
///
/// # Errors
/// PGRST100 for bytes that are not UTF-8, 54001 for too many values.
pub fn form_pairs(body: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::Body("The form is not in UTF-8".to_owned()))?;
    let pairs = || text.split('&').filter(|pair| !pair.is_empty());
    if pairs().count() > MAX_VALUES {
        return Err(too_many());
    }
    pairs()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

const KEYS_MUST_MATCH: &str = "All object keys must match";
const TOO_MANY_VALUES: &str = "too many values";

/// Reads an object as one row or an array as many, into the payload.
struct Rows<'p> {
    payload: &'p mut Payload,
    index: HashMap<String, usize>,
    fixed: bool,
    /// How many there are so far.
    values: usize,
}

impl<'de> DeserializeSeed<'de> for &mut Rows<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.row(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Row(&mut *self))?.is_some() {}
        Ok(())
    }
}

impl<'p> Rows<'p> {
    /// Reads into `payload`; with `fixed` its columns are all that there are.
    fn into_payload(payload: &'p mut Payload, fixed: bool) -> Rows<'p> {
        let index = payload.columns.iter().cloned().enumerate().map(|(i, name)| (name, i)).collect();
        Rows { payload, index, fixed, values: 0 }
    }

    fn row<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
        let first = self.payload.rows.is_empty() && !self.fixed;
        // A row without columns takes memory too.
        self.values += self.payload.columns.len().max(1);
        if self.values > MAX_VALUES {
            return Err(A::Error::custom(TOO_MANY_VALUES));
        }
        let mut row: Vec<Option<Json>> = vec![None; self.payload.columns.len()];
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let known = self.index.get(key.as_ref()).copied();
            let raw: &RawValue = map.next_value()?;
            match known {
                Some(at) => {
                    // Of two equal keys the last counts, as in PostgreSQL.
                    if let Some(slot) = row.get_mut(at) {
                        *slot = Some(read(raw).map_err(A::Error::custom)?);
                    }
                }
                None if first => {
                    self.index.insert(key.clone().into_owned(), row.len());
                    self.payload.columns.push(key.into_owned());
                    row.push(Some(read(raw).map_err(A::Error::custom)?));
                }
                None if self.fixed => {}
                None => return Err(A::Error::custom(KEYS_MUST_MATCH)),
            }
        }
        if !self.fixed && row.iter().any(Option::is_none) {
            return Err(A::Error::custom(KEYS_MUST_MATCH));
        }
        self.payload.rows.push(row);
        Ok(())
    }
}

/// One object of an array.
struct Row<'r, 'p>(&'r mut Rows<'p>);

impl<'de> DeserializeSeed<'de> for Row<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.row(map)
    }
}

fn read(raw: &RawValue) -> Result<Json, serde_json::Error> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'n') => Json::Null,
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        Some(b'"') => Json::Text(serde_json::from_str(text)?),
        Some(b'{' | b'[') => Json::Nested(text.to_owned()),
        _ => Json::Number(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check(body: &str, columns: Option<&[&str]>, expected: Expect) {
        let columns: Option<Vec<String>> = columns.map(|c| c.iter().map(|c| (*c).to_owned()).collect());
        let shown = match Payload::parse(body.as_bytes(), columns.as_deref()) {
            Ok(payload) => format!("{:?} {:?}", payload.columns, payload.rows),
            Err(error) => error.problem().message,
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn objects_and_arrays() {
        check(
            r#" {"a":12345678901234567890,"b":null,"c":{"x": [1, 2]},"a":true} "#,
            None,
            expect![[r#"["a", "b", "c"] [[Some(Bool(true)), Some(Null), Some(Nested("{\"x\": [1, 2]}"))]]"#]],
        );
        check(
            r#"[{"a":1,"b\u0041":"z\n"},{"bA":"y","a":2}]"#,
            None,
            expect![[
                r#"["a", "bA"] [[Some(Number("1")), Some(Text("z\n"))], [Some(Number("2")), Some(Text("y"))]]"#
            ]],
        );
        check(
            r#"[{"a":1,"b":2},{"c":3}]"#,
            Some(&["c", "a"]),
            expect![[r#"["c", "a"] [[None, Some(Number("1"))], [Some(Number("3")), None]]"#]],
        );
        check("[]", None, expect!["[] []"]);
        check("{}", None, expect!["[] [[]]"]);
    }

    #[test]
    fn mistakes() {
        check(r#"[{"a":1},{"b":1}]"#, None, expect!["All object keys must match"]);
        check(r#"[{"a":1},{}]"#, None, expect!["All object keys must match"]);
        check("", None, expect!["Empty or invalid json"]);
        check("[1]", None, expect!["Empty or invalid json"]);
        check(r#"{"a":1} x"#, None, expect!["Empty or invalid json"]);
        check(r#"{"a":"#, None, expect!["Empty or invalid json"]);
        check(&format!(r#"{{"a":{}"#, "[".repeat(100_000)), None, expect!["Empty or invalid json"]);
    }

    proptest! {
        #[test]
        fn never_panics(body in prop::collection::vec(prop::sample::select(br#"{}[]":,a1-.e\ tru"#.to_vec()), 0..60)) {
            let _ = Payload::parse(&body, None);
        }
    }
}
