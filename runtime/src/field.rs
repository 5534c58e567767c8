//! A column with a JSON path: `data->a->0->>b`, as select, filters and order write it.
//!
//! <https://docs.postgrest.org/en/stable/references/api/tables_views.html#json-columns>

use crate::error::Error;
use crate::grammar::Cursor;

/// A column, or a place in the JSON that it holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    /// The column.
    pub name: String,
    /// The way into its JSON; empty for the column itself.
    pub path: Vec<JsonStep>,
}

/// One arrow with what stands behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonStep {
    /// `->>`: as text.
    pub as_text: bool,
    /// Where to go.
    pub key: JsonKey,
}

/// A member or an element.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonKey {
    /// The member of this name.
    Member(String),
    /// The element at this place, from 0; negative from the end.
    Element(i64),
}

impl Field {
    /// Reads a name and the arrows behind it; `reserved` ends a plain name.
    pub(crate) fn parse(cursor: &mut Cursor<'_>, reserved: &[char]) -> Result<Field, Error> {
        let name = cursor.name(reserved)?;
        let mut path = Vec::new();
        loop {
            let as_text = cursor.take("->>");
            if !as_text && !cursor.take("->") {
                cursor.skip_spaces();
                return Ok(Field { name, path });
            }
            cursor.check_depth(path.len() + 1)?;
            path.push(JsonStep { as_text, key: key(cursor)? });
        }
    }

    /// The name that the field has in an answer where no other is given: that of the last member on the way.
    pub fn output_name(&self) -> &str {
        let members = self.path.iter().rev().filter_map(|step| match &step.key {
            JsonKey::Member(name) => Some(name.as_str()),
            JsonKey::Element(_) => None,
        });
        members.into_iter().next().unwrap_or(&self.name)
    }
}

fn key(cursor: &mut Cursor<'_>) -> Result<JsonKey, Error> {
    const EXPECTED: &str = "\"-\", digit or any non reserved character different from: .,>()";
    if cursor.peek() == Some('"') {
        let key = cursor.quoted()?;
        // SQLite's JSON paths end at NUL.
        return if key.contains('\0') { Err(cursor.error(EXPECTED)) } else { Ok(JsonKey::Member(key)) };
    }
    let rest = cursor.rest();
    let reserved = |c| matches!(c, '.' | ',' | '>' | '(' | ')');
    let mut end = rest.find(reserved).unwrap_or(rest.len());
    for stop in ["->", "::"] {
        let at = rest.get(..end).and_then(|key| key.find(stop));
        // `->` ends in a reserved character, so its dash is still before `end`.
        end = at.unwrap_or(end);
    }
    if rest.get(end..).is_some_and(|tail| tail.starts_with('>')) {
        end = end.saturating_sub(1);
    }
    let key = rest.get(..end).unwrap_or_default();
    if key.is_empty() || key.contains('\0') {
        return Err(cursor.error(EXPECTED));
    }
    cursor.advance(end);
    let digits = key.strip_prefix('-').unwrap_or(key);
    let is_index = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    Ok(match key.parse() {
        Ok(index) if is_index => JsonKey::Element(index),
        _ => JsonKey::Member(key.to_owned()),
    })
}
