//! Result rows to JSON bytes: the one place where a stored value becomes text.
//!
//! Exactness: integers to 64 bits; REAL in the shortest form that reads back to the same bits; BLOB as base64 (RFC 4648,
//! with padding); text that is not UTF-8 with U+FFFD for its bad bytes.
//!
//! SQLite's own JSON functions round REAL to 15 digits in releases before 3.53 and refuse BLOB. Values inside an embed
//! therefore leave SQL between marker bytes that cannot occur in JSON ([`REAL_MARK`], [`BLOB_MARK`], [`END_MARK`]) and
//! are finished here, by the same code that writes the columns of the outermost row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::value::ValueRef;

/// Begins a REAL printed with 17 significant digits.
pub const REAL_MARK: u8 = 1;
/// Ends what a mark began.
pub const END_MARK: u8 = 2;
/// Begins a BLOB in hexadecimal.
pub const BLOB_MARK: u8 = 3;

/// How a column's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By its storage class.
    Any,
    /// Declared BOOLEAN: 0 and 1 as `false` and `true`, anything else by its storage class.
    Boolean,
    /// Text that SQL made as JSON (embeds, JSON columns), with marked values inside.
    Json,
}

/// One column of a page: the member name it gets and how its value is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// `"name":`, escaped, ready to be written.
    label: Vec<u8>,
    /// How the value is written.
    kind: Kind,
}

/// How the rows of a page become bytes: one JSON object a row, separated by commas.
#[derive(Clone, Debug, PartialEq)]
pub struct RowFormat {
    columns: Vec<Column>,
}

const COMMENT: &str = "/*rows:";

impl RowFormat {
    /// A format with these member names and kinds, in the order of the statement's columns.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Kind)>) -> Self {
        let columns = columns
            .into_iter()
            .map(|(name, kind)| {
                let mut label = Vec::with_capacity(name.len() + 3);
                write_text(name, &mut label);
                label.push(b':');
                Column { label, kind }
            })
            .collect();
        RowFormat { columns }
    }

    /// The comment that a statement begins with to tell a far side (our host behind `spin:sqlite`) that its rows are
    /// wanted in this format: `/*rows:abj*/`. Any other SQLite passes over it.
    pub fn comment(&self) -> String {
        let kinds: String = self
            .columns
            .iter()
            .map(|c| match c.kind {
                Kind::Any => 'a',
                Kind::Boolean => 'b',
                Kind::Json => 'j',
            })
            .collect();
        format!("{COMMENT}{kinds}*/")
    }

    /// Columns of a statement whose rows are in this format; a statement has at least one.
    pub fn width(&self) -> usize {
        self.columns.len().max(1)
    }

    /// Reads the kinds of [`RowFormat::comment`] from the start of a statement; `None` where it has no such comment.
    pub fn kinds(sql: &str) -> Option<Vec<Kind>> {
        let (kinds, _) = sql.strip_prefix(COMMENT)?.split_once("*/")?;
        kinds
            .chars()
            .map(|c| match c {
                'a' => Some(Kind::Any),
                'b' => Some(Kind::Boolean),
                'j' => Some(Kind::Json),
                _ => None,
            })
            .collect()
    }

    /// Appends one row; `index` is its place in the page, from 0.
    pub fn write_row(&self, row: &[ValueRef<'_>], index: u64, out: &mut Vec<u8>) {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'{');
        for (i, (column, value)) in self.columns.iter().zip(row).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&column.label);
            write_value(column.kind, *value, out);
        }
        out.push(b'}');
    }
}

/// Appends one value as JSON.
pub fn write_value(kind: Kind, value: ValueRef<'_>, out: &mut Vec<u8>) {
    match (kind, value) {
        (_, ValueRef::Null) => out.extend_from_slice(b"null"),
        (Kind::Boolean, ValueRef::Integer(0)) => out.extend_from_slice(b"false"),
        (Kind::Boolean, ValueRef::Integer(1)) => out.extend_from_slice(b"true"),
        (Kind::Json, ValueRef::Text(text)) => write_marked(text, out),
        (_, ValueRef::Integer(i)) => write_integer(i, out),
        (_, ValueRef::Real(r)) => write_real(r, out),
        (_, ValueRef::Text(text)) => match std::str::from_utf8(text) {
            Ok(text) => write_text(text, out),
            Err(_) => write_text(&String::from_utf8_lossy(text), out),
        },
        (_, ValueRef::Blob(bytes)) => write_blob(bytes, out),
    }
}

fn write_integer(i: i64, out: &mut Vec<u8>) {
    // Digits from the right; i64::MIN has no positive twin, so the absolute value is taken unsigned.
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = i.unsigned_abs();
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if i < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Infinities, which JSON has no number for, become strings as in PostgreSQL; SQLite stores NaN as NULL.
fn write_real(r: f64, out: &mut Vec<u8>) {
    if r == 0.0 {
        // SQLite does not tell -0.0 from 0.0 in its text forms; neither do we.
        out.extend_from_slice(b"0.0");
    } else if r.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(r).as_bytes());
    } else if r.is_nan() {
        out.extend_from_slice(b"null");
    } else if r > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

fn write_blob(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Appends a JSON string. Escapes only what RFC 8259 section 7 requires, as SQLite's `json_quote` does.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (byte, tail) = match tail.split_first() {
            Some((byte, tail)) => (*byte, tail),
            None => break,
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend(HEX.get(usize::from(byte >> 4)));
                out.extend(HEX.get(usize::from(byte & 15)));
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends JSON text that SQL made, finishing the values between marks.
fn write_marked(text: &[u8], out: &mut Vec<u8>) {
    let lossy;
    let mut rest = match std::str::from_utf8(text) {
        Ok(_) => text,
        Err(_) => {
            lossy = String::from_utf8_lossy(text);
            lossy.as_bytes()
        }
    };
    while let Some(at) = memchr::memchr2(REAL_MARK, BLOB_MARK, rest) {
        let (plain, marked) = rest.split_at(at);
        out.extend_from_slice(plain);
        let end = memchr::memchr(END_MARK, marked).unwrap_or(marked.len());
        let inside = marked.get(1..end).unwrap_or_default();
        if marked.first() == Some(&REAL_MARK) {
            let real = std::str::from_utf8(inside).ok().and_then(|s| s.parse().ok());
            write_value(Kind::Any, real.map_or(ValueRef::Null, ValueRef::Real), out);
        } else {
            write_blob(&from_hex(inside), out);
        }
        rest = marked.get(end + 1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

fn from_hex(hex: &[u8]) -> Vec<u8> {
    let digit = |b: u8| (b as char).to_digit(16).unwrap_or(0) as u8;
    hex.chunks(2).map(|pair| pair.iter().fold(0, |byte, b| byte << 4 | digit(*b))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, value: ValueRef<'_>, expected: &str) {
        let mut out = Vec::new();
        write_value(kind, value, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn numbers_are_exact() {
        check(Kind::Any, ValueRef::Integer(i64::MIN), "-9223372036854775808");
        check(Kind::Any, ValueRef::Integer(i64::MAX), "9223372036854775807");
        check(Kind::Any, ValueRef::Integer(0), "0");
        check(Kind::Any, ValueRef::Real(0.1 + 0.2), "0.30000000000000004");
        check(Kind::Any, ValueRef::Real(3.0), "3.0");
        check(Kind::Any, ValueRef::Real(-0.0), "0.0");
        check(Kind::Any, ValueRef::Real(f64::INFINITY), "\"Infinity\"");
        check(Kind::Any, ValueRef::Real(f64::NEG_INFINITY), "\"-Infinity\"");
    }

    #[test]
    fn booleans_only_where_they_are() {
        check(Kind::Boolean, ValueRef::Integer(1), "true");
        check(Kind::Boolean, ValueRef::Integer(0), "false");
        check(Kind::Boolean, ValueRef::Integer(7), "7");
        check(Kind::Boolean, ValueRef::Text(b"yes"), "\"yes\"");
    }

    #[test]
    fn text_is_escaped_as_rfc_8259_says() {
        check(
            Kind::Any,
            ValueRef::Text(b"a\0\"\\\n\r\t\x08\x0c\x1f\x7f"),
            r#""a\u0000\"\\\n\r\t\b\f\u001f""#.replace("\\u001f", "\\u001f\x7f").as_str(),
        );
        check(Kind::Any, ValueRef::Text("z\u{1F600}ß".as_bytes()), "\"z\u{1F600}ß\"");
        check(Kind::Any, ValueRef::Text(b"a\xffb"), "\"a\u{FFFD}b\"");
        check(Kind::Any, ValueRef::Blob(&[0, 255, 16]), "\"AP8Q\"");
    }

    #[test]
    fn marked_values_are_finished() {
        check(
            Kind::Json,
            ValueRef::Text(b"{\"a\":\x010.30000000000000004\x02,\"b\":\x0300FF10\x02}"),
            "{\"a\":0.30000000000000004,\"b\":\"AP8Q\"}",
        );
        check(
            Kind::Json,
            ValueRef::Text(b"[\x01Inf\x02,\x01-Inf\x02,\x01-0.0\x02]"),
            "[\"Infinity\",\"-Infinity\",0.0]",
        );
    }

    #[test]
    fn format_survives_its_comment() {
        let format = RowFormat::new([("a", Kind::Any), ("b", Kind::Boolean), ("c", Kind::Json)]);
        assert_eq!(format.comment(), "/*rows:abj*/");
        assert_eq!(
            RowFormat::kinds("/*rows:abj*/SELECT 1"),
            Some(vec![Kind::Any, Kind::Boolean, Kind::Json])
        );
        assert_eq!(RowFormat::kinds("SELECT 1"), None);
    }
}
