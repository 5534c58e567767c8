//! As many rows of an answer as an agent may have.

use serde::Serialize;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The beginning of a list of rows.
#[derive(Debug, Default, Serialize)]
pub struct Rows {
    /// Each as the API writes it.
    pub rows: Vec<Box<RawValue>>,
    /// Whether there are more that would have been too much to tell.
    #[serde(skip)]
    pub cut: Option<Cut>,
}

/// Why rows are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// There are too many.
    Rows,
    /// They are too large.
    Bytes,
    /// There are as many as the API answers at once, so that there may be more.
    Api,
}

/// Takes rows until there are enough.
struct Taking<'r> {
    taken: &'r mut Rows,
    /// Where the body ends, or what there is of it.
    end: *const u8,
    most_rows: usize,
    most_bytes: usize,
    is_whole: &'r mut bool,
}

impl<'de> Visitor<'de> for Taking<'_> {
    type Value = ();

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        let mut bytes = 0;
        while let Some(row) = all.next_element::<&'de RawValue>()? {
            // No list ends with a row: what goes on behind the end may be more of this one, as with a number.
            if row.get().as_bytes().as_ptr_range().end == self.end {
                return Ok(());
            }
            bytes += row.get().len() + 1;
            if self.taken.rows.len() >= self.most_rows {
                self.taken.cut = Some(Cut::Rows);
                break;
            }
            if bytes > self.most_bytes {
                self.taken.cut = Some(Cut::Bytes);
                break;
            }
            self.taken.rows.push(row.to_owned());
        }
        *self.is_whole = true;
        Ok(())
    }
}

impl Rows {
    /// Of the body of an answer, or of its beginning. None where it is no list.
    pub fn of(body: &[u8], most_rows: usize, most_bytes: usize) -> Option<Rows> {
        if body.trim_ascii_start().first() != Some(&b'[') {
            return None;
        }
        let (mut taken, mut is_whole) = (Rows::default(), false);
        let end = body.as_ptr_range().end;
        let taking = Taking { taken: &mut taken, end, most_rows, most_bytes, is_whole: &mut is_whole };
        // That it does not end where rows were left is no news.
        let _ = serde_json::Deserializer::from_slice(body).deserialize_seq(taking);
        if !is_whole {
            taken.cut = Some(Cut::Bytes);
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, most_rows: usize, most_bytes: usize) -> Option<(usize, Option<Cut>)> {
        Rows::of(body.as_bytes(), most_rows, most_bytes).map(|rows| (rows.rows.len(), rows.cut))
    }

    #[test]
    fn as_many_as_are_allowed() {
        let body = r#"[{"a":1}, {"a":2},3]"#;
        assert_eq!(check(body, 3, 100), Some((3, None)));
        assert_eq!(check(body, 2, 100), Some((2, Some(Cut::Rows))));
        assert_eq!(check(body, 3, 10), Some((1, Some(Cut::Bytes))));
        assert_eq!(check("[]", 1, 10), Some((0, None)));
        assert_eq!(check(r#"{"a":1}"#, 1, 10), None);
        assert_eq!(check("", 1, 10), None);
        for end in 1..body.len() {
            let (count, cut) = check(&body[..end], 3, 100).expect("a list");
            assert!(count < 3 && cut == Some(Cut::Bytes), "{end}: {count} {cut:?}");
        }
        // The last may be the beginning of another number.
        assert_eq!(check("[1,23", 9, 99), Some((1, Some(Cut::Bytes))));
        assert_eq!(check("[1,23,", 9, 99), Some((2, Some(Cut::Bytes))));
        let rows = Rows::of(b"[9007199254740993,1.10]", 9, 99).expect("a list");
        assert_eq!(serde_json::to_string(&rows.rows).expect("JSON"), "[9007199254740993,1.10]");
    }
}
