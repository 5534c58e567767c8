//! The query string: percent-decoding, and which parameter means what.
//!
//! A key is a path: `order`, `albums.order`, `albums.tracks.name`. Its last part is a reserved word or a column, the
//! parts before it name the embed that the parameter is for.

use crate::error::Error;
use crate::field::Field;
use crate::filter::{Condition, Connective, parse_filter, parse_logic};
use crate::grammar::Cursor;
use crate::keyset::{Place, parse_after};
use crate::order::{OrderTerm, parse_order};
use crate::select::{SelectItem, parse_columns, parse_select};

/// How many parameters a query string may have.
const MAX_PARAMETERS: usize = 1_000;

/// How many filters a request may have, those in `and` and `or` included: each is tested on every row.
const MAX_FILTERS: usize = 10_000;

/// The embeds from the outermost to the one that a parameter is for; empty for the relation of the path.
pub type EmbedPath = Vec<String>;

/// The parsed query string.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryParams {
    /// `select`; `None` means every column.
    pub select: Option<Vec<SelectItem>>,
    /// `columns`
    pub columns: Option<Vec<String>>,
    /// `on_conflict`: the columns of the key by which rows are the same.
    pub on_conflict: Option<Vec<String>>,
    /// `after`: the place in the order behind which the page begins. Beyond PostgREST.
    pub after: Option<Vec<Place>>,
    /// What is no filter, where the parameters are a function's arguments.
    pub arguments: Vec<(String, String)>,
    /// The filters and logic groups, in the order of the request.
    pub filters: Vec<(EmbedPath, Condition)>,
    /// `order`
    pub order: Vec<(EmbedPath, Vec<OrderTerm>)>,
    /// `limit`: rows at the most.
    pub limits: Vec<(EmbedPath, u64)>,
    /// `offset`: rows to pass over.
    pub offsets: Vec<(EmbedPath, u64)>,
}

/// What becomes of a parameter that is neither reserved nor a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfiltered {
    /// It is an error.
    Refused,
    /// It is an argument of the function.
    Arguments,
}

impl QueryParams {
    /// Parses what follows the `?`.
    ///
    /// # Errors
    /// PGRST100 for text that does not fit its grammar, PGRST103 for a negative limit.
    pub fn parse(query: &str, unfiltered: Unfiltered) -> Result<QueryParams, Error> {
        let mut params = QueryParams::default();
        let (mut known, mut filters) = (0, 0);
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        for (count, pair) in pairs.enumerate() {
            if count >= MAX_PARAMETERS {
                return Err(Error::TooComplex(format!(
                    "a query string may have {MAX_PARAMETERS} parameters"
                )));
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            params.take(&decode(key)?, &decode(value)?, unfiltered)?;
            let latest = params.filters.get(known..).unwrap_or_default();
            filters += latest.iter().map(|(_, condition)| condition.size()).sum::<usize>();
            known = params.filters.len();
            if filters > MAX_FILTERS {
                return Err(Error::TooComplex(format!("a request may have {MAX_FILTERS} filters")));
            }
        }
        Ok(params)
    }

    fn take(&mut self, key: &str, value: &str, unfiltered: Unfiltered) -> Result<(), Error> {
        let (mut path, field) = split_key(key)?;
        // `albums.not.or=(…)`: the word before the last belongs to it.
        // A quoted name is a column's, whatever it is.
        let is_word = field.path.is_empty() && !key.ends_with('"');
        let last = if is_word { field.name.as_str() } else { "" };
        let negated = matches!(last, "and" | "or") && path.last().is_some_and(|p| p == "not");
        if negated {
            path.pop();
        }
        match last {
            "select" if path.is_empty() => self.select = Some(parse_select(value)?),
            "columns" if path.is_empty() => self.columns = Some(parse_columns("columns parameter", value)?),
            "on_conflict" if path.is_empty() => {
                self.on_conflict = Some(parse_columns("on_conflict parameter", value)?);
            }
            // No filter begins with a parenthesis, so that a column may have this name.
            "after" if path.is_empty() && value.starts_with('(') => self.after = Some(parse_after(value)?),
            "order" => self.order.push((path, parse_order(value)?)),
            "limit" => self.limits.push((path, limit(value)?)),
            "offset" => self.offsets.push((path, offset(value)?)),
            "and" => self.filters.push((path, parse_logic(Connective::And, negated, value)?)),
            "or" => self.filters.push((path, parse_logic(Connective::Or, negated, value)?)),
            _ => match parse_filter(field.clone(), value) {
                Ok(filter) => self.filters.push((path, filter)),
                Err(_) if unfiltered == Unfiltered::Arguments && path.is_empty() => {
                    self.arguments.push((field.name, value.to_owned()));
                }
                Err(error) => return Err(error),
            },
        }
        Ok(())
    }
}

fn split_key(key: &str) -> Result<(EmbedPath, Field), Error> {
    const RESERVED: &[char] = &['.', '"'];
    let mut cursor = Cursor::new("query parameter", key);
    let mut path = vec![];
    loop {
        let field = Field::parse(&mut cursor, RESERVED)?;
        if field.path.is_empty() && cursor.take(".") {
            path.push(field.name);
        } else {
            cursor.end()?;
            return Ok((path, field));
        }
    }
}

fn limit(text: &str) -> Result<u64, Error> {
    match integer("limit", text)? {
        Integer::Negative => Err(Error::Range("Limit should be greater than or equal to zero.".to_owned())),
        Integer::Natural(n) => Ok(n),
    }
}

/// A negative offset means none, as in PostgREST.
fn offset(text: &str) -> Result<u64, Error> {
    match integer("offset", text)? {
        Integer::Negative => Ok(0),
        Integer::Natural(n) => Ok(n),
    }
}

enum Integer {
    Negative,
    Natural(u64),
}

fn integer(what: &'static str, text: &str) -> Result<Integer, Error> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Cursor::new(what, text).error("an integer"));
    }
    if digits.len() < text.len() && digits.bytes().any(|b| b != b'0') {
        return Ok(Integer::Negative);
    }
    // SQLite takes a signed 64-bit number; more rows than that do not exist.
    Ok(Integer::Natural(digits.parse().unwrap_or(u64::MAX).min(i64::MAX as u64)))
}

/// Percent-decoding with `+` for a space, as forms and browsers encode.
///
/// # Errors
/// PGRST100 for bytes that are not UTF-8; a `%` without two hexadecimal digits stands for itself.
pub fn decode(text: &str) -> Result<String, Error> {
    percent_decode(text, true)
}

/// Percent-decoding of a path, where `+` is itself.
///
/// # Errors
/// As [`decode`].
pub fn decode_path(text: &str) -> Result<String, Error> {
    percent_decode(text, false)
}

/// Percent-encodes all but the unreserved characters of RFC 3986 section 2.3.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn percent_decode(text: &str, plus_is_space: bool) -> Result<String, Error> {
    if !text.contains(['%', '+']) {
        return Ok(text.to_owned());
    }
    let hex = |byte: Option<&u8>| byte.and_then(|b| (*b as char).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' if plus_is_space => out.push(b' '),
            b'%' => match (hex(tail.first()), hex(tail.get(1))) {
                (Some(high), Some(low)) => {
                    out.push((high * 16 + low) as u8);
                    rest = tail.get(2..).unwrap_or_default();
                }
                _ => out.push(b'%'),
            },
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).map_err(|_| Cursor::new("request target", text).error("text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check(query: &str, expected: Expect) {
        let shown = match QueryParams::parse(query, Unfiltered::Refused) {
            Ok(params) => format!("{params:?}"),
            Err(error) => error.problem().message + " " + &error.problem().details.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn parameters() {
        check(
            "select=id&albums.order=a&albums.limit=5&offset=-3&id=eq.%C3%A9+%2B%",
            expect![[
                r#"QueryParams { select: Some([Column(SelectColumn { field: Field { name: "id", path: [] }, alias: None, cast: None, aggregate: None, aggregate_cast: None })]), columns: None, on_conflict: None, after: None, arguments: [], filters: [([], Filter(Filter { field: Field { name: "id", path: [] }, negated: false, test: Compare(Eq, One("é +%")) }))], order: [(["albums"], [OrderTerm { embed: None, field: Field { name: "a", path: [] }, function: None, direction: Ascending, nulls: Last }])], limits: [(["albums"], 5)], offsets: [([], 0)] }"#
            ]],
        );
        check(
            "or=(a.eq.1)&albums.not.and=(b.eq.2)&%22a.b%22.c=is.null&x",
            expect![[
                r#""failed to parse filter ()" (line 1, column 1) "unexpected end of input expecting \"not\" or operator (eq, gt, ...)""#
            ]],
        );
        check(
            "limit=18446744073709551616&limit=-0",
            expect![
                "QueryParams { select: None, columns: None, on_conflict: None, after: None, arguments: [], filters: [], order: [], limits: [([], 9223372036854775807), ([], 0)], offsets: [] }"
            ],
        );
    }

    #[test]
    fn mistakes() {
        check(
            "limit=-1",
            expect![[r#"Requested range not satisfiable "Limit should be greater than or equal to zero.""#]],
        );
        check(
            "limit=ten",
            expect![[
                r#""failed to parse limit (ten)" (line 1, column 1) "unexpected \"t\" expecting an integer""#
            ]],
        );
        check(
            "id=eq.%FF",
            expect![[
                r#""failed to parse request target (eq.%FF)" (line 1, column 1) "unexpected \"e\" expecting text in UTF-8""#
            ]],
        );
        check(
            "=eq.1",
            expect![[
                r#""failed to parse query parameter ()" (line 1, column 1) "unexpected end of input expecting field name (* or [a..z0..9_$])""#
            ]],
        );
        check(
            "a..b=eq.1",
            expect![[
                r#""failed to parse query parameter (a..b)" (line 1, column 3) "unexpected \".\" expecting field name (* or [a..z0..9_$])""#
            ]],
        );
        check(&"a=eq.1&".repeat(1001), expect!["a query string may have 1000 parameters null"]);
    }

    proptest! {
        #[test]
        fn never_panics(query in "[a-z0-9%&=.()\",\\\\+*é-]{0,60}") {
            let _ = QueryParams::parse(&query, Unfiltered::Refused);
            let _ = QueryParams::parse(&query, Unfiltered::Arguments);
        }
    }
}
