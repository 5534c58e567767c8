//! The port: all that the core asks of a database connection.
//!
//! A shell implements it over rusqlite, over the WIT interface `spin:sqlite`, or over a test double. The core never
//! learns which. Statements come from the compile stage only.

use crate::encode::{RowFormat, check_size};
use crate::value::{Value, ValueRef};

/// A failure of a statement: SQLite's own message, never shown to a client as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct DbError {
    /// The text of `sqlite3_errmsg`, for example `UNIQUE constraint failed: t.n`.
    pub message: String,
}

impl DbError {
    /// Whether it is this sentence of SQLite's, alone or behind what libSQL puts before it.
    pub(crate) fn says(&self, sentence: &str) -> bool {
        let before = self.message.strip_suffix(sentence);
        before.is_some_and(|before| before.is_empty() || before.ends_with(": "))
    }

    /// Whether it tells of the moment, not of the statement, which may do another time.
    pub(crate) fn is_passing(&self) -> bool {
        // Names may be any words: `no such column: interrupted`.
        let names = self.message.contains("no such ");
        let passes = [
            "interrupted",
            "database is locked",
            "disk I/O error",
            "out of memory",
            "database or disk is full",
        ]
        .iter()
        .any(|sentence| self.says(sentence))
            || ["database table is locked", "unable to open database"]
                .iter()
                .any(|words| self.message.contains(words));
        passes && !names
    }
}

/// What became of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paged {
    /// All of its rows have been appended: so many.
    Whole(u64),
    /// The first of its rows have been appended, and the shell sends the others behind the body of the response, the transaction
    /// open until then. Only of a format that says that it may.
    Streams,
}

/// One connection, used by one request at a time.
pub trait Database {
    /// Runs one statement with its parameters and hands each result row to `each`.
    ///
    /// # Errors
    /// SQLite's message, with what the statement did undone (as SQLite does for one statement).
    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError>;

    /// The names of a statement's columns. The statement is a query of no rows (`LIMIT 0`), so a shell may run it.
    ///
    /// # Errors
    /// As [`Database::rows`].
    fn columns(&mut self, sql: &str, params: &[Value]) -> Result<Vec<String>, DbError>;

    /// Runs one statement and appends its rows to `out` as `format` says.
    ///
    /// A shell in which rows are dear to hand over (the component boundary) may do the encoding at the far side with
    /// [`RowFormat::write_row`]; the bytes must be the same.
    ///
    /// # Errors
    /// As [`Database::rows`]; `out` may then hold a part of the rows.
    fn page(
        &mut self,
        sql: &str,
        params: &[Value],
        format: &RowFormat,
        out: &mut Vec<u8>,
    ) -> Result<Paged, DbError> {
        let mut count = 0;
        self.rows(sql, params, &mut |row| {
            format.write_row(row, count, out);
            count += 1;
        })?;
        check_size(out)?;
        Ok(Paged::Whole(count))
    }
}
