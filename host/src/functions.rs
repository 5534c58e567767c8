//! SQL functions that SQLite lacks and the core counts on where the host can give them: `REGEXP`.
//!
//! They are total: no value in a row makes them fail.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

/// The most memory that a compiled pattern may take, in bytes.
const PATTERN_SIZE: usize = 1 << 20;

/// Registers the functions on a connection.
///
/// # Errors
/// SQLite's.
pub fn register(sql: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    // `a REGEXP b` is regexp(b, a).
    sql.create_scalar_function("regexp", 2, flags, regexp)
}

/// Whether a text matches a pattern, in time linear in the text (crate regex); NULL where either is NULL. A pattern that is
/// none matches nothing.
fn regexp(context: &Context<'_>) -> rusqlite::Result<Option<bool>> {
    let pattern: Arc<Option<Regex>> =
        context.get_or_create_aux(0, |value| -> Result<_, rusqlite::Error> {
            let pattern = value.as_str().ok();
            Ok(pattern.and_then(|p| RegexBuilder::new(p).size_limit(PATTERN_SIZE).build().ok()))
        })?;
    Ok(match context.get_raw(1) {
        ValueRef::Null => None,
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            Some(pattern.as_ref().as_ref().is_some_and(|p| p.is_match(&String::from_utf8_lossy(text))))
        }
        ValueRef::Integer(i) => Some(pattern.as_ref().as_ref().is_some_and(|p| p.is_match(&i.to_string()))),
        ValueRef::Real(r) => Some(pattern.as_ref().as_ref().is_some_and(|p| p.is_match(&r.to_string()))),
    })
}
