//! The one writer of SQL text.
//!
//! **Invariant:** text of a request reaches SQL as a bound parameter or as a quoted name, never otherwise. `raw` takes only
//! text that stands in this program; `definition` takes what the database or the configuration defines; `name` quotes;
//! `value` binds.

use super::{Param, Statement};
use crate::error::Error;
use crate::function::Piece;
use crate::value::Value;

/// SQL being written.
#[derive(Default)]
pub(super) struct Sql {
    text: String,
    params: Vec<Param>,
    numbers: usize,
}

impl Sql {
    /// SQL that stands in this program.
    pub(super) fn raw(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// A name, quoted. NUL would end the statement; no name of a database or grammar has one.
    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        self.text.push('"');
        for c in name.chars().filter(|c| *c != '\0') {
            if c == '"' {
                self.text.push('"');
            }
            self.text.push(c);
        }
        self.text.push('"');
        self
    }

    /// What an occurrence goes by: its alias (`t0`) or the relation's name.
    pub(super) fn occurrence(&mut self, alias: Option<usize>, name: &str) -> &mut Self {
        match alias {
            Some(number) => self.raw("t").number(number),
            None => self.name(name),
        }
    }

    /// A number of ours.
    pub(super) fn number(&mut self, number: usize) -> &mut Self {
        self.text.push_str(&number.to_string());
        self
    }

    /// A bound text.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.value(Value::Text(text.to_owned()))
    }

    /// A number that no other call of this statement gives.
    pub(super) fn fresh(&mut self) -> usize {
        self.numbers += 1;
        self.numbers
    }

    /// SQL of the schema itself or of the configuration: a default, a computed column.
    pub(super) fn definition(&mut self, sql: &str) -> &mut Self {
        self.text.push_str(sql);
        self
    }

    /// SQL of the configuration in which `{row}` stands for an occurrence.
    pub(super) fn template(&mut self, sql: &str, alias: Option<usize>, name: &str) -> &mut Self {
        for (i, part) in sql.split("{row}").enumerate() {
            if i > 0 {
                self.occurrence(alias, name);
            }
            self.definition(part);
        }
        self
    }

    /// SQL of the configuration in which `{value}` stands for what `value` writes.
    pub(super) fn representation(
        &mut self,
        sql: &str,
        value: &dyn Fn(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.raw("(");
        for (i, part) in sql.split("{value}").enumerate() {
            if i > 0 {
                value(self)?;
            }
            self.definition(part);
        }
        self.raw(")");
        Ok(())
    }

    /// The SQL of a function, its arguments bound.
    pub(super) fn pieces(&mut self, pieces: &[Piece]) -> &mut Self {
        for piece in pieces {
            match piece {
                Piece::Sql(sql) => self.definition(sql),
                Piece::Value(value) => self.value(value.clone()),
            };
        }
        self
    }

    /// A bound value.
    pub(super) fn value(&mut self, value: Value) -> &mut Self {
        self.text.push('?');
        self.params.push(Param::Value(value));
        self
    }

    /// The keys of the rows that the step before wrote: [`Param::Rowids`] or [`Param::PrimaryKeys`].
    pub(super) fn keys(&mut self, keys: Param) -> &mut Self {
        self.text.push('?');
        self.params.push(keys);
        self
    }

    /// A number of rows.
    pub(super) fn rows(&mut self, rows: u64) -> &mut Self {
        self.value(Value::Integer(i64::try_from(rows).unwrap_or(i64::MAX)))
    }

    /// Items with a separator between them.
    pub(super) fn list<T>(
        &mut self,
        separator: &'static str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.raw(separator);
            }
            write(self, item)?;
        }
        Ok(())
    }

    /// Items joined by AND or OR in a tree of small depth: SQLite refuses expressions deeper than 1,000.
    pub(super) fn tree<T>(
        &mut self,
        operator: &'static str,
        items: &[T],
        write: &mut dyn FnMut(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match items {
            [] => Ok(()),
            [one] => write(self, one),
            _ if items.len() <= 16 => self.list(operator, items, |sql, item| write(sql, item)),
            _ => {
                let (left, right) = items.split_at(items.len() / 2);
                self.raw("(");
                self.tree(operator, left, write)?;
                self.raw(")").raw(operator).raw("(");
                self.tree(operator, right, write)?;
                self.raw(")");
                Ok(())
            }
        }
    }

    /// The finished statement.
    pub(super) fn finish(self) -> Statement {
        Statement { sql: self.text, params: self.params }
    }
}
