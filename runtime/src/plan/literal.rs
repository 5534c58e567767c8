//! Literals of filters and values of bodies, read by the declared type of their column.
//!
//! SQLite would compare and store anything; a client is told of `id=eq.abc` instead (22P02), as by PostgreSQL.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::encode::write_text;
use crate::error::Error;
use crate::payload::Json;
use crate::schema::ColumnType;
use crate::value::Value;

/// Reads a literal of the query string.
pub(crate) fn from_text(column_type: ColumnType, text: &str) -> Result<Value, Error> {
    let wrong = || Error::Literal { declared: column_type.postgres_name(), value: text.to_owned() };
    match column_type {
        ColumnType::Integer => integer(text.trim()).ok_or_else(wrong)?,
        ColumnType::Real => real(text.trim()).map(Value::Real).ok_or_else(wrong),
        ColumnType::Numeric => number(text.trim()).ok_or_else(wrong),
        ColumnType::Boolean => boolean(text).map(|b| Value::Integer(b.into())).ok_or_else(wrong),
        ColumnType::Blob => blob(text).map(Value::Blob).ok_or_else(wrong),
        ColumnType::Text | ColumnType::Other | ColumnType::Time | ColumnType::Json | ColumnType::Any => {
            Ok(Value::Text(text.to_owned()))
        }
    }
}

/// Reads a value of a JSON body.
pub(crate) fn from_json(column_type: ColumnType, json: &Json) -> Result<Value, Error> {
    let wrong = |text: &str| Error::Literal { declared: column_type.postgres_name(), value: text.to_owned() };
    match (column_type, json) {
        (_, Json::Null) => Ok(Value::Null),
        (ColumnType::Json, Json::Bool(b)) => Ok(Value::Text(b.to_string())),
        (ColumnType::Json, Json::Text(text)) => {
            let mut quoted = Vec::new();
            write_text(text, &mut quoted);
            Ok(Value::Text(String::from_utf8_lossy(&quoted).into_owned()))
        }
        (
            ColumnType::Json | ColumnType::Text | ColumnType::Other | ColumnType::Time | ColumnType::Any,
            Json::Nested(raw),
        ) => Ok(Value::Text(raw.clone())),
        (_, Json::Nested(raw)) => Err(wrong(raw)),
        (ColumnType::Text, Json::Bool(b)) => Ok(Value::Text(b.to_string())),
        (ColumnType::Blob, Json::Bool(b)) => Err(wrong(&b.to_string())),
        (_, Json::Bool(b)) => Ok(Value::Integer((*b).into())),
        (ColumnType::Text | ColumnType::Json, Json::Number(raw)) => Ok(Value::Text(raw.clone())),
        (ColumnType::Other | ColumnType::Time | ColumnType::Any, Json::Number(raw)) => {
            number(raw).ok_or_else(|| wrong(raw))
        }
        (ColumnType::Blob, Json::Number(raw)) => Err(wrong(raw)),
        (_, Json::Number(text) | Json::Text(text)) => from_text(column_type, text),
    }
}

/// A whole number: `None` where it is none, the inner error where it has more than 64 bits.
fn integer(text: &str) -> Option<Result<Value, Error>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().map(Value::Integer).map_err(|_| Error::OutOfRange(text.to_owned())))
}

/// A double, with the words that PostgreSQL and our answers use for infinity; SQLite cannot store NaN.
fn real(text: &str) -> Option<f64> {
    if text.eq_ignore_ascii_case("infinity") || text.eq_ignore_ascii_case("+infinity") {
        return Some(f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("-infinity") {
        return Some(f64::NEG_INFINITY);
    }
    // Rust also reads "inf" and "nan"; a number begins with a digit, a sign or a point.
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|r: &f64| plain && r.is_finite())
}

/// The number that a text is, an integer where it is whole.
pub(crate) fn number(text: &str) -> Option<Value> {
    match integer(text) {
        Some(Ok(value)) => Some(value),
        _ => real(text).map(Value::Real),
    }
}

/// PostgreSQL's words for a boolean (<https://www.postgresql.org/docs/current/datatype-boolean.html>).
fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Base64 (RFC 4648, padding optional), as blobs are written in answers; or `\x` and hexadecimal, as in PostgreSQL.
fn blob(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
        return digits
            .chunks(2)
            .map(|pair| if let [high, low] = pair { Some(high << 4 | low) } else { None })
            .collect();
    }
    STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
}

/// Matching takes time as pattern times text, and SQLite cannot be interrupted in it.
pub(super) fn check_pattern(pattern: &str) -> Result<(), Error> {
    const LONGEST: usize = 1_000;
    if pattern.chars().count() > LONGEST {
        return Err(Error::TooComplex(format!("a pattern may have {LONGEST} characters")));
    }
    Ok(())
}

/// Turns a LIKE pattern into a GLOB one, which tells case in every build of SQLite. `ignore_case` spells each letter in
/// both its cases, whatever its script: SQLite's own LIKE knows ASCII alone.
pub(crate) fn glob(pattern: &str, ignore_case: bool) -> Result<Value, Error> {
    check_pattern(pattern)?;
    let mut glob = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' if glob.ends_with('*') => {}
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '\\' => literal(chars.next().unwrap_or('\\'), ignore_case, &mut glob),
            c => literal(c, ignore_case, &mut glob),
        }
    }
    Ok(Value::Text(glob))
}

fn literal(c: char, ignore_case: bool, glob: &mut String) {
    match c {
        '*' | '?' | '[' => {
            glob.push('[');
            glob.push(c);
            glob.push(']');
        }
        c if ignore_case && c.is_alphabetic() => {
            // Only letters whose other case is one character: `ß` stays itself, as in PostgreSQL.
            let single = |mut other: Box<dyn Iterator<Item = char>>| match (other.next(), other.next()) {
                (Some(one), None) => one,
                _ => c,
            };
            let (lower, upper) = (single(Box::new(c.to_lowercase())), single(Box::new(c.to_uppercase())));
            let mut cases = vec![c];
            cases.extend([lower, upper].into_iter().filter(|other| *other != c));
            if cases.len() == 1 {
                glob.push(c);
            } else {
                glob.push('[');
                glob.extend(cases);
                glob.push(']');
            }
        }
        c => glob.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(column_type: ColumnType, texts: &[&str], expected: Expect) {
        let shown: Vec<String> = texts
            .iter()
            .map(|text| match from_text(column_type, text) {
                Ok(value) => format!("{value:?}"),
                Err(error) => error.problem().code.into_owned(),
            })
            .collect();
        expected.assert_eq(&shown.join(" "));
    }

    #[test]
    fn literals_by_type() {
        check(
            ColumnType::Integer,
            &["5", "-9223372036854775808", "9223372036854775808", "5.0", "abc", ""],
            expect!["Integer(5) Integer(-9223372036854775808) 22003 22P02 22P02 22P02"],
        );
        check(
            ColumnType::Real,
            &["5", "1e400", "inf", "-Infinity", "0.1", "nan"],
            expect!["Real(5.0) 22P02 22P02 Real(-inf) Real(0.1) 22P02"],
        );
        check(ColumnType::Numeric, &["5", "5.50", "x"], expect!["Integer(5) Real(5.5) 22P02"]);
        check(
            ColumnType::Boolean,
            &["true", "F", "on", "2"],
            expect!["Integer(1) Integer(0) Integer(1) 22P02"],
        );
        check(
            ColumnType::Blob,
            &["AP8Q", "AP8", "\\x00ff10", "\\x0", "*"],
            expect!["Blob([0, 255, 16]) Blob([0, 255]) Blob([0, 255, 16]) 22P02 22P02"],
        );
        check(ColumnType::Other, &["2020-01-01"], expect![[r#"Text("2020-01-01")"#]]);
    }

    #[test]
    fn values_by_type() {
        let values = [
            Json::Null,
            Json::Bool(true),
            Json::Number("1.5".to_owned()),
            Json::Text("a\"b".to_owned()),
            Json::Nested("[1]".to_owned()),
        ];
        let types = [
            ColumnType::Integer,
            ColumnType::Real,
            ColumnType::Text,
            ColumnType::Json,
            ColumnType::Any,
            ColumnType::Other,
        ];
        let shown: Vec<String> = types
            .iter()
            .map(|t| {
                let row: Vec<String> = values
                    .iter()
                    .map(|v| match from_json(*t, v) {
                        Ok(value) => format!("{value:?}"),
                        Err(error) => error.problem().code.into_owned(),
                    })
                    .collect();
                format!("{t:?}: {}", row.join(" "))
            })
            .collect();
        expect![[r#"
            Integer: Null Integer(1) 22P02 22P02 22P02
            Real: Null Integer(1) Real(1.5) 22P02 22P02
            Text: Null Text("true") Text("1.5") Text("a\"b") Text("[1]")
            Json: Null Text("true") Text("1.5") Text("\"a\\\"b\"") Text("[1]")
            Any: Null Integer(1) Real(1.5) Text("a\"b") Text("[1]")
            Other: Null Integer(1) Real(1.5) Text("a\"b") Text("[1]")"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn patterns() {
        let shown: Vec<String> = [("a%%_*", false), ("[x]\\%\\", false), ("aÉß1%", true), ("Iı", true)]
            .iter()
            .map(|(pattern, ignore_case)| format!("{:?}", glob(pattern, *ignore_case).unwrap()))
            .collect();
        expect![[r#"Text("a*?[*]") Text("[[]x]%\\") Text("[aA][Éé]ß1*") Text("[Ii][ıI]")"#]]
            .assert_eq(&shown.join(" "));
    }
}
