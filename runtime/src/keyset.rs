//! Pages by the place of a row in the order, not by counting rows: `after=(1999-01-01,55)`, and the `Link` to the next page.
//! Beyond PostgREST; the values are those of the order's terms in the last row, then of the primary key.
//!
//! <https://www.rfc-editor.org/rfc/rfc8288>

use crate::error::Error;
use crate::grammar::Cursor;
use crate::plan::literal;
use crate::query_params::{decode, percent_encode};
use crate::value::Value;

/// Parses the value of `after`: values in parentheses, quoted where they are text that looks like another.
///
/// # Errors
/// PGRST100 where it does not fit the grammar.
pub fn parse_after(text: &str) -> Result<Vec<Value>, Error> {
    let mut cursor = Cursor::new("after", text);
    cursor.expect("(")?;
    let mut values = vec![value(&mut cursor)?];
    while cursor.take(",") {
        values.push(value(&mut cursor)?);
    }
    cursor.expect(")")?;
    cursor.end()?;
    Ok(values)
}

fn value(cursor: &mut Cursor<'_>) -> Result<Value, Error> {
    if cursor.peek() == Some('"') {
        return cursor.quoted().map(Value::Text);
    }
    let rest = cursor.rest();
    let end = rest.find([',', ')']).unwrap_or(rest.len());
    cursor.advance(end);
    let text = rest.get(..end).unwrap_or_default();
    Ok(match literal::number(text) {
        Some(number) => number,
        None if text == "null" => Value::Null,
        None => Value::Text(text.to_owned()),
    })
}

/// The value of `Link`: the target (path and query) with these values as its `after`. None where a value has no text, as
/// a BLOB.
pub fn next_link(target: &str, values: &[Value]) -> Option<String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let is_kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        !pair.is_empty() && !decode(name).is_ok_and(|name| name == "after" || name == "offset")
    };
    let mut pairs: Vec<String> = query.split('&').filter(is_kept).map(str::to_owned).collect();
    let values = values.iter().map(written).collect::<Option<Vec<_>>>()?;
    pairs.push(format!("after={}", percent_encode(&format!("({})", values.join(",")))));
    Some(format!("<{path}?{}>; rel=\"next\"", pairs.join("&")))
}

fn written(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "null".to_owned(),
        Value::Integer(i) => i.to_string(),
        Value::Real(r) if r.is_finite() => format!("{r:?}"),
        Value::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Value::Real(_) | Value::Blob(_) => return None,
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
            Value::Integer(i64::MIN),
            Value::Real(0.1 + 0.2),
            Value::Real(2.0),
            Value::Null,
        ];
        let link = next_link("/t?order=a&after=(1)&offset=3&limit=2", &values).unwrap();
        let query = link.strip_prefix("</t?order=a&limit=2&after=").unwrap();
        let after = query.strip_suffix(">; rel=\"next\"").unwrap();
        assert!(after.bytes().all(|b| b.is_ascii_alphanumeric() || b"%-._~".contains(&b)), "{after}");
        assert_eq!(parse_after(&decode(after).unwrap()), Ok(values));
        assert_eq!(next_link("/t", &[Value::Blob(vec![1])]), None);
    }

    #[test]
    fn plain_values() {
        let text = |t: &str| Value::Text(t.to_owned());
        assert_eq!(
            parse_after("(1999-01-01,55,,null)").unwrap(),
            [text("1999-01-01"), Value::Integer(55), text(""), Value::Null]
        );
        for wrong in ["1", "(1", "(1))", "(\"a)", ""] {
            assert!(parse_after(wrong).is_err(), "{wrong}");
        }
    }
}
