//! Pages by the place of a row in the order, not by counting rows: `after=(1999-01-01,55)`, and the `Link` to the next page.
//! Beyond PostgREST; the values are those of the order's terms in the last row, then of the primary key.
//!
//! <https://www.rfc-editor.org/rfc/rfc8288>

use crate::error::Error;
use crate::grammar::Cursor;
use crate::plan::literal;
use crate::query_params::{decode, percent_encode};
use crate::schema::ColumnType;
use crate::value::Value;

/// A value of `after`.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// It says what it is: quoted text, null, a BLOB (`\x00ff`), an infinite number (`1e999`).
    Value(Value),
    /// Its column says what it is.
    Bare(String),
}

/// Parses the value of `after`: values in parentheses, quoted where they are text that looks like another.
///
/// # Errors
/// PGRST100 where it does not fit the grammar.
pub fn parse_after(text: &str) -> Result<Vec<Place>, Error> {
    let mut cursor = Cursor::new("after", text);
    cursor.expect("(")?;
    let mut places = vec![place(&mut cursor)?];
    while cursor.take(",") {
        places.push(place(&mut cursor)?);
    }
    cursor.expect(")")?;
    cursor.end()?;
    Ok(places)
}

fn place(cursor: &mut Cursor<'_>) -> Result<Place, Error> {
    if cursor.peek() == Some('"') {
        return cursor.quoted().map(|text| Place::Value(Value::Text(text)));
    }
    let rest = cursor.rest();
    let end = rest.find([',', ')']).unwrap_or(rest.len());
    cursor.advance(end);
    let text = rest.get(..end).unwrap_or_default();
    let hex = text.strip_prefix("\\x").and_then(|_| literal::from_text(ColumnType::Blob, text).ok());
    Ok(match (hex, text) {
        (Some(blob), _) => Place::Value(blob),
        (None, "null") => Place::Value(Value::Null),
        (None, "1e999") => Place::Value(Value::Real(f64::INFINITY)),
        (None, "-1e999") => Place::Value(Value::Real(f64::NEG_INFINITY)),
        (None, text) => Place::Bare(text.to_owned()),
    })
}

/// The value of `Link`: the target (path and query) with these values as its `after`, and its `limit`. None where a text is
/// not UTF-8, so that it cannot be written.
pub fn next_link(target: &str, values: &[Value], limit: u64) -> Option<String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let is_kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        !pair.is_empty()
            && !decode(name).is_ok_and(|name| matches!(name.as_str(), "after" | "offset" | "limit"))
    };
    let mut pairs: Vec<String> = query.split('&').filter(is_kept).map(str::to_owned).collect();
    let values = values.iter().map(written).collect::<Option<Vec<_>>>()?;
    pairs.push(format!("limit={limit}"));
    pairs.push(format!("after={}", percent_encode(&format!("({})", values.join(",")))));
    Some(format!("<{path}?{}>; rel=\"next\"", pairs.join("&")))
}

fn written(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "null".to_owned(),
        Value::Integer(i) => i.to_string(),
        Value::Real(r) if r.is_finite() => format!("{r:?}"),
        Value::Real(r) => if *r > 0.0 { "1e999" } else { "-1e999" }.to_owned(),
        // What stands for bytes that are none would be another text.
        Value::Text(text) if text.contains('\u{FFFD}') => return None,
        Value::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Value::Blob(bytes) => bytes.iter().fold("\\x".to_owned(), |hex, byte| hex + &format!("{byte:02x}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_link() {
        let values = vec![
            Value::Text("a,\"b\\) &=\u{e9}".to_owned()),
            Value::Text("5".to_owned()),
            Value::Null,
            Value::Blob(vec![0, 255]),
            Value::Blob(Vec::new()),
            Value::Real(f64::NEG_INFINITY),
        ];
        let link = next_link("/t?order=a&after=(1)&offset=3&limit=2", &values, 7).unwrap();
        let query = link.strip_prefix("</t?order=a&limit=7&after=").unwrap();
        let after = query.strip_suffix(">; rel=\"next\"").unwrap();
        assert!(after.bytes().all(|b| b.is_ascii_alphanumeric() || b"%-._~".contains(&b)), "{after}");
        let read = parse_after(&decode(after).unwrap()).unwrap();
        assert_eq!(read, values.into_iter().map(Place::Value).collect::<Vec<_>>());
        assert_eq!(next_link("/t", &[Value::Text("\u{FFFD}".to_owned())], 1), None);
    }

    #[test]
    fn plain_values() {
        let bare = |t: &str| Place::Bare(t.to_owned());
        let read = parse_after("(1999-01-01,55,,null,-9223372036854775808,0.1)").unwrap();
        let null = Place::Value(Value::Null);
        let bares =
            [bare("1999-01-01"), bare("55"), bare(""), null, bare("-9223372036854775808"), bare("0.1")];
        assert_eq!(read, bares);
        for wrong in ["1", "(1", "(1))", "(\"a)", ""] {
            assert!(parse_after(wrong).is_err(), "{wrong}");
        }
    }
}
