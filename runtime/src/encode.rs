//! Result rows to JSON bytes: the one place where a stored value becomes text.
//!
//! Exactness: integers to 64 bits; REAL in the shortest form that reads back to the same bits; BLOB as base64 (RFC 4648,
//! with padding); text that is not UTF-8 with U+FFFD for its bad bytes.
//!
//! SQLite's own JSON functions round REAL to 15 digits in releases before 3.53 and refuse BLOB. Values inside an embed
//! therefore leave SQL between marker bytes that cannot occur in JSON ([`REAL_MARK`], [`BLOB_MARK`], [`END_MARK`]) and
//! are finished here, by the same code that writes the columns of the outermost row.

pub mod guard;
mod json;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::database::DbError;
use crate::timezone::Zone;
use crate::value::ValueRef;
use json::{from_hex, strip_nulls, write_blob, write_csv_text, write_integer, write_real};

pub use json::{keys_json, write_text};

/// Begins a REAL printed with 17 significant digits.
pub const REAL_MARK: u8 = 1;
/// Ends what a mark began.
pub const END_MARK: u8 = 2;
/// Begins a BLOB in hexadecimal.
pub const BLOB_MARK: u8 = 3;
/// Stands before a JSON string that is a time, to be told in the zone of [`RowFormat`].
pub const TIME_MARK: u8 = 4;

/// How a column's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By its storage class.
    Any,
    /// Declared BOOLEAN: 0 and 1 as `false` and `true`, anything else by its storage class.
    Boolean,
    /// Text that SQL made as JSON (embeds, JSON columns), with marked values inside.
    Json,
    /// Declared TIMESTAMPTZ, where a zone is asked for: texts that are times as that zone's clocks show them.
    Time,
}

/// What the rows of a page become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// JSON objects with commas between them.
    Objects,
    /// The same without members that are null, at any depth.
    StrippedObjects,
    /// Lines of comma-separated values (RFC 4180), a line feed between them.
    Csv,
    /// The first column as a JSON value, commas between the rows: scalars of functions.
    Values,
    /// The first column's bytes as they are: media types that a function makes.
    Bytes,
    /// JSON objects, each on a line.
    Lines,
    /// The first column as a JSON value, each on a line.
    ValueLines,
}

/// One column of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    name: String,
    /// `"name":`, escaped, ready to be written.
    label: Vec<u8>,
    /// How the value is written.
    kind: Kind,
}

/// How the rows of a page become bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct RowFormat {
    shape: Shape,
    columns: Vec<Column>,
    /// The zone of [`Kind::Time`] and [`TIME_MARK`].
    zone: Option<Zone>,
    /// Whether the shell may send rows on by itself where they are many ([`Paged::Streams`]).
    ///
    /// [`Paged::Streams`]: crate::database::Paged::Streams
    may_stream: bool,
}

const COMMENT: &str = "/*rows:";

/// Behind it, where the rows may be streamed.
const STREAMS: char = '+';

const SHAPES: [(Shape, char); 7] = [
    (Shape::Objects, 'o'),
    (Shape::StrippedObjects, 's'),
    (Shape::Csv, 'c'),
    (Shape::Values, 'v'),
    (Shape::Bytes, 'r'),
    (Shape::Lines, 'l'),
    (Shape::ValueLines, 'w'),
];

const KINDS: [(Kind, char); 4] =
    [(Kind::Any, 'a'), (Kind::Boolean, 'b'), (Kind::Json, 'j'), (Kind::Time, 't')];

/// How many bytes the rows of an answer may become.
pub const MOST_BYTES: usize = 256 << 20;

/// What is said of more.
pub const TOO_LARGE: &str = "the rows are too large for one answer";

/// Refuses the rows that did not fit.
///
/// # Errors
/// [`MOST_BYTES`] are reached.
pub fn check_size(out: &[u8]) -> Result<(), DbError> {
    if out.len() > MOST_BYTES { Err(DbError { message: TOO_LARGE.to_owned() }) } else { Ok(()) }
}

impl RowFormat {
    /// A format with these column names and kinds, in the order of the statement's columns.
    pub fn new<'a>(shape: Shape, columns: impl IntoIterator<Item = (&'a str, Kind)>) -> Self {
        let columns = columns
            .into_iter()
            .map(|(name, kind)| {
                let mut label = Vec::with_capacity(name.len() + 3);
                write_text(name, &mut label);
                label.push(b':');
                Column { name: name.to_owned(), label, kind }
            })
            .collect();
        RowFormat { shape, columns, zone: None, may_stream: false }
    }

    /// Lets the shell stream the rows.
    pub fn stream(&mut self) {
        self.may_stream = true;
    }

    /// Whether the shell may stream the rows.
    pub fn may_stream(&self) -> bool {
        self.may_stream
    }

    /// The same, times told in this zone.
    pub fn in_zone(self, zone: Option<Zone>) -> Self {
        RowFormat { zone, ..self }
    }

    /// The comment that a statement begins with to tell a far side (our host behind `spin:sqlite`) that its rows are
    /// wanted in this format: `/*rows:oabj*/`, `/*rows:+ot Europe/Paris*/`. Any other SQLite passes over it.
    pub fn comment(&self) -> String {
        let letter = SHAPES.iter().find(|(shape, _)| *shape == self.shape).map_or('o', |(_, letter)| *letter);
        let kind =
            |column: &Column| KINDS.iter().find(|(kind, _)| *kind == column.kind).map(|(_, letter)| *letter);
        let kinds: String = self.columns.iter().filter_map(kind).collect();
        let streams = if self.may_stream { STREAMS.to_string() } else { String::new() };
        match &self.zone {
            None => format!("{COMMENT}{streams}{letter}{kinds}*/"),
            Some(zone) => format!("{COMMENT}{streams}{letter}{kinds} {}*/", zone.name()),
        }
    }

    /// Columns of a statement whose rows are in this format; a statement has at least one.
    pub fn width(&self) -> usize {
        self.columns.len().max(1)
    }

    /// Whether a statement begins with [`RowFormat::comment`].
    pub fn is_asked_for(sql: &str) -> bool {
        sql.starts_with(COMMENT)
    }

    /// Whether it says in it that its rows may be streamed.
    pub fn is_asked_to_stream(sql: &str) -> bool {
        sql.strip_prefix(COMMENT).is_some_and(|rest| rest.starts_with(STREAMS))
    }

    /// The format that a statement asks for in its comment, with the names of its columns; `None` where it has none.
    pub fn of_statement<'a>(sql: &str, names: impl IntoIterator<Item = &'a str>) -> Option<RowFormat> {
        let (letters, _) = sql.strip_prefix(COMMENT)?.split_once("*/")?;
        let (letters, zone) = match letters.split_once(' ') {
            Some((letters, name)) => (letters, Some(Zone::of_name(name)?)),
            None => (letters, None),
        };
        let (letters, may_stream) = match letters.strip_prefix(STREAMS) {
            Some(letters) => (letters, true),
            None => (letters, false),
        };
        let mut letters = letters.chars();
        let shape = letters.next()?;
        let shape = SHAPES.iter().find(|(_, letter)| *letter == shape).map(|(shape, _)| *shape)?;
        let kinds: Vec<Kind> = letters
            .map(|c| KINDS.iter().find(|(_, letter)| *letter == c).map(|(kind, _)| *kind))
            .collect::<Option<_>>()?;
        let format = RowFormat::new(shape, names.into_iter().zip(kinds)).in_zone(zone);
        Some(RowFormat { may_stream, ..format })
    }

    /// The first line of comma-separated values; nothing for other shapes.
    pub fn csv_header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.shape != Shape::Csv {
            return out;
        }
        for (i, column) in self.columns.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_csv_text(column.name.as_bytes(), &mut out);
        }
        out
    }

    /// What stands between rows.
    pub fn separator(&self) -> &'static [u8] {
        match self.shape {
            Shape::Objects | Shape::StrippedObjects | Shape::Values => b",",
            Shape::Csv | Shape::Lines | Shape::ValueLines => b"\n",
            Shape::Bytes => b"",
        }
    }

    /// Appends one row; `index` is its place in the page, from 0. Nothing is appended to more than [`MOST_BYTES`], which
    /// [`check_size`] says afterwards.
    pub fn write_row(&self, row: &[ValueRef<'_>], index: u64, out: &mut Vec<u8>) {
        if out.len() > MOST_BYTES {
            return;
        }
        if index > 0 {
            out.extend_from_slice(self.separator());
        }
        match self.shape {
            Shape::Objects | Shape::Lines => self.write_object(row, out),
            Shape::StrippedObjects => {
                let mut object = Vec::new();
                self.write_object(row, &mut object);
                strip_nulls(&object, out);
            }
            Shape::Csv => {
                for (i, (column, value)) in self.columns.iter().zip(row).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    self.write_csv(column.kind, *value, out);
                }
            }
            Shape::Values | Shape::ValueLines => {
                if let (Some(column), Some(value)) = (self.columns.first(), row.first()) {
                    self.write_value(column.kind, *value, out);
                }
            }
            Shape::Bytes => match row.first() {
                Some(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => out.extend_from_slice(bytes),
                Some(value) => self.write_csv(Kind::Any, *value, out),
                None => {}
            },
        }
    }

    fn write_object(&self, row: &[ValueRef<'_>], out: &mut Vec<u8>) {
        out.push(b'{');
        for (i, (column, value)) in self.columns.iter().zip(row).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&column.label);
            self.write_value(column.kind, *value, out);
        }
        out.push(b'}');
    }

    /// Appends a value of a CSV line: null as nothing, text in quotes where it needs them, booleans as PostgreSQL's `t`, `f`.
    fn write_csv(&self, kind: Kind, value: ValueRef<'_>, out: &mut Vec<u8>) {
        match (kind, value) {
            (_, ValueRef::Null) => {}
            (Kind::Boolean, ValueRef::Integer(0)) => out.push(b'f'),
            (Kind::Boolean, ValueRef::Integer(1)) => out.push(b't'),
            (Kind::Json, ValueRef::Text(_)) => {
                let mut json = Vec::new();
                self.write_value(kind, value, &mut json);
                if json != b"null" {
                    write_csv_text(&json, out);
                }
            }
            (Kind::Time, ValueRef::Text(text)) => write_csv_text(self.time(text).as_bytes(), out),
            (_, ValueRef::Text(text)) => write_csv_text(String::from_utf8_lossy(text).as_bytes(), out),
            (_, ValueRef::Blob(bytes)) => out.extend_from_slice(BASE64.encode(bytes).as_bytes()),
            (_, ValueRef::Integer(i)) => write_integer(i, out),
            // A whole number has no fraction, as in PostgreSQL; JSON tells it from an integer.
            (_, ValueRef::Real(r)) if r.fract() == 0.0 && r.abs() < 1e15 => write_integer(r as i64, out),
            (_, ValueRef::Real(r)) if r.is_finite() => write_real(r, out),
            (_, ValueRef::Real(r)) => out.extend_from_slice(if r > 0.0 { b"Infinity" } else { b"-Infinity" }),
        }
    }

    /// Appends one value as JSON.
    pub fn write_value(&self, kind: Kind, value: ValueRef<'_>, out: &mut Vec<u8>) {
        match (kind, value) {
            (_, ValueRef::Null) => out.extend_from_slice(b"null"),
            (Kind::Boolean, ValueRef::Integer(0)) => out.extend_from_slice(b"false"),
            (Kind::Boolean, ValueRef::Integer(1)) => out.extend_from_slice(b"true"),
            (Kind::Json, ValueRef::Text(text)) => self.write_marked(text, out),
            (Kind::Time, ValueRef::Text(text)) => write_text(&self.time(text), out),
            (_, ValueRef::Integer(i)) => write_integer(i, out),
            (_, ValueRef::Real(r)) => write_real(r, out),
            (_, ValueRef::Text(text)) => match std::str::from_utf8(text) {
                Ok(text) => write_text(text, out),
                Err(_) => write_text(&String::from_utf8_lossy(text), out),
            },
            (_, ValueRef::Blob(bytes)) => write_blob(bytes, out),
        }
    }

    /// Appends JSON text that SQL made, finishing the values between marks.
    fn write_marked(&self, text: &[u8], out: &mut Vec<u8>) {
        let lossy;
        let mut rest = match std::str::from_utf8(text) {
            Ok(_) => text,
            Err(_) => {
                lossy = String::from_utf8_lossy(text);
                lossy.as_bytes()
            }
        };
        while let Some(at) = memchr::memchr3(REAL_MARK, BLOB_MARK, TIME_MARK, rest) {
            let (plain, marked) = rest.split_at(at);
            out.extend_from_slice(plain);
            if marked.first() == Some(&TIME_MARK) {
                rest = self.write_marked_time(marked.get(1..).unwrap_or_default(), out);
                continue;
            }
            let end = memchr::memchr(END_MARK, marked).unwrap_or(marked.len());
            let inside = marked.get(1..end).unwrap_or_default();
            if marked.first() == Some(&REAL_MARK) {
                let real = std::str::from_utf8(inside).ok().and_then(|s| s.parse().ok());
                self.write_value(Kind::Any, real.map_or(ValueRef::Null, ValueRef::Real), out);
            } else {
                write_blob(&from_hex(inside), out);
            }
            rest = marked.get(end + 1..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
    }

    /// Appends the JSON string that `json` begins with as a time; what is behind it is given back.
    fn write_marked_time<'j>(&self, json: &'j [u8], out: &mut Vec<u8>) -> &'j [u8] {
        let mut strings = serde_json::Deserializer::from_slice(json).into_iter::<String>();
        let Some(Ok(text)) = strings.next() else { return json };
        write_text(&self.time(text.as_bytes()), out);
        json.get(strings.byte_offset()..).unwrap_or_default()
    }

    /// A time in the zone that is asked for; what is none as it is.
    fn time<'t>(&self, text: &'t [u8]) -> Cow<'t, str> {
        let text = String::from_utf8_lossy(text);
        match self.zone.as_ref().and_then(|zone| zone.local(&text)) {
            Some(local) => Cow::Owned(local),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, value: ValueRef<'_>, expected: &str) {
        let mut out = Vec::new();
        RowFormat::new(Shape::Objects, []).write_value(kind, value, &mut out);
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
    fn times_are_told_in_the_zone() {
        let paris = Zone::of_preference("Europe/Paris");
        let columns = [("a", Kind::Time), ("b", Kind::Json), ("c", Kind::Any)];
        let time = b"2023-10-18 12:00:00+00";
        let row = [
            ValueRef::Text(time),
            ValueRef::Text(b"{\"t\":\x04\"2023-10-18 12:00:00\",\"u\":\x04\"no \\\"time\"}"),
            ValueRef::Text(time),
        ];
        for (shape, expected) in [
            (
                Shape::Objects,
                r#"{"a":"2023-10-18T14:00:00+02:00","b":{"t":"2023-10-18T14:00:00+02:00","u":"no \"time"},"c":"2023-10-18 12:00:00+00"}"#,
            ),
            (
                Shape::Csv,
                r#"2023-10-18T14:00:00+02:00,"{""t"":""2023-10-18T14:00:00+02:00"",""u"":""no \""time""}",2023-10-18 12:00:00+00"#,
            ),
        ] {
            let format = RowFormat::new(shape, columns).in_zone(paris.clone());
            let mut out = Vec::new();
            format.write_row(&row, 0, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
            let sql = format.comment() + "SELECT 1";
            assert_eq!(RowFormat::of_statement(&sql, ["a", "b", "c"]), Some(format));
        }
    }

    #[test]
    fn format_survives_its_comment() {
        let columns = [("a", Kind::Any), ("b", Kind::Boolean), ("c", Kind::Json)];
        let format = RowFormat::new(Shape::Objects, columns);
        assert_eq!(format.comment(), "/*rows:oabj*/");
        for (shape, _) in SHAPES {
            let format = RowFormat::new(shape, columns);
            let sql = format.comment() + "SELECT 1";
            assert_eq!(RowFormat::of_statement(&sql, ["a", "b", "c"]), Some(format));
        }
        assert_eq!(RowFormat::of_statement("SELECT 1", []), None);
        assert_eq!(RowFormat::of_statement("/*rows:x*/SELECT 1", []), None);
    }

    #[test]
    fn shapes() {
        let columns = [("a", Kind::Any), ("b,", Kind::Boolean), ("c", Kind::Json)];
        let rows = [
            [
                ValueRef::Text(b"x \"y\""),
                ValueRef::Integer(1),
                ValueRef::Text(b"{\"n\":null,\"l\":[null,{\"m\":null}]}"),
            ],
            [ValueRef::Null, ValueRef::Null, ValueRef::Null],
            [ValueRef::Text(b""), ValueRef::Integer(0), ValueRef::Text(b"null")],
        ];
        let show = |shape| {
            let format = RowFormat::new(shape, columns);
            let mut out = Vec::new();
            rows.iter().enumerate().for_each(|(i, row)| format.write_row(row, i as u64, &mut out));
            String::from_utf8_lossy(&out).into_owned()
        };
        assert_eq!(
            show(Shape::StrippedObjects),
            r#"{"a":"x \"y\"","b,":true,"c":{"l":[null,{}]}},{},{"a":"","b,":false}"#
        );
        assert_eq!(
            show(Shape::Csv),
            "\"x \"\"y\"\"\",t,\"{\"\"n\"\":null,\"\"l\"\":[null,{\"\"m\"\":null}]}\"\n,,\n\"\",f,"
        );
        assert_eq!(show(Shape::Values), r#""x \"y\"",null,"""#);
        assert_eq!(show(Shape::Bytes), "x \"y\"");
        assert_eq!(show(Shape::ValueLines), "\"x \\\"y\\\"\"\nnull\n\"\"");
        assert_eq!(show(Shape::Lines).lines().count(), 3);
        assert_eq!(RowFormat::new(Shape::Csv, columns).csv_header(), b"a,\"b,\",c");
    }
}
