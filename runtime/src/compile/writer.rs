//! The one writer of SQL text.
//!
//! **Invariant:** text of a request reaches SQL as a bound parameter or as a quoted name, never otherwise. `raw` takes only
//! text that stands in this program; `definition` takes what the database or the configuration defines; `name` quotes;
//! `value` binds.

use super::policy::after_with;
use super::{Param, Statement};
use crate::error::Error;
use crate::function::Piece;
use crate::plan::Alias;
use crate::policy::Rows;
use crate::schema::RelationId;
use crate::value::Value;

/// What the row goes by that a write or a policy is about.
pub(super) const THE_ROW: &str = "\"the row\"";

/// SQL being written.
#[derive(Default)]
pub(super) struct Sql {
    text: String,
    params: Vec<Param>,
    numbers: usize,
    /// Whether an occurrence under its own name is what a role sees of its relation, and not the relation itself.
    pub(super) own_is_visible: bool,
    /// Whether the target of a write goes by its name.
    pub(super) own_by_name: bool,
    /// What of the schema stands in the text by a name that policies give a meaning.
    pub(super) uses: Vec<Use>,
}

/// A name in a statement that policies give a meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Use {
    /// What a role sees of a relation.
    Visible(RelationId),
    /// The rows of it that a write is about, which are those of which this is true, too.
    Target(RelationId, Rows),
    /// A computed column of either, by its place.
    Computed(RelationId, usize),
    /// A relation by its own name, in SQL of the configuration or of a view.
    Mentioned {
        /// The relation.
        relation: RelationId,
        /// Whether the SQL names a rowid.
        rowid: bool,
    },
}

impl Use {
    /// The relation.
    pub(super) fn relation(&self) -> RelationId {
        match self {
            Use::Visible(relation)
            | Use::Target(relation, _)
            | Use::Computed(relation, _)
            | Use::Mentioned { relation, .. } => *relation,
        }
    }

    /// Whether both are one name.
    pub(super) fn defines_same(&self, other: &Use) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.relation() == other.relation()
    }
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

    /// What an occurrence goes by. The names of ours that stand beside SQL of the configuration have a space in them, as no name that
    /// anybody writes without quotes.
    pub(super) fn occurrence(&mut self, alias: Alias, name: &str) -> &mut Self {
        match alias {
            Alias::Request(number) | Alias::Given(number) => self.raw("t").number(number),
            Alias::Own | Alias::Row if self.own_by_name => self.name(name),
            Alias::Own | Alias::Row => self.raw(THE_ROW),
            Alias::Policy(number) => self.raw("\"table ").number(number).raw("\""),
        }
    }

    /// What the target of a write goes by, behind its name.
    pub(super) fn own_alias(&mut self) -> &mut Self {
        if self.own_by_name { self } else { self.raw(" AS ").raw(THE_ROW) }
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

    /// A bound value that the query planner does not look at. It does at one that stands alone beside a column, where there is an ORDER
    /// BY, or behind LIMIT, and a plan for one value is made again at every execution. The sign changes nothing, whatever the value is.
    pub(super) fn unplanned(&mut self, value: Value) -> &mut Self {
        self.raw("+").value(value)
    }

    /// A number of rows, after LIMIT or OFFSET.
    pub(super) fn rows(&mut self, rows: u64) -> &mut Self {
        self.unplanned(Value::Integer(i64::try_from(rows).unwrap_or(i64::MAX)))
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

    /// These definitions (`WITH …`) in front of a statement.
    pub(super) fn in_front_of(self, statement: Sql) -> Statement {
        let mut params = self.params;
        params.extend(statement.params);
        let sql = match after_with(&statement.text) {
            None => format!("{} {}", self.text, statement.text),
            Some((is_recursive, rest)) => {
                let definitions = self.text.strip_prefix("WITH ").unwrap_or_default();
                let word = if is_recursive { "WITH RECURSIVE " } else { "WITH " };
                format!("{word}{definitions}, {rest}")
            }
        };
        Statement { sql, params, defines: Vec::new() }
    }

    /// The finished statement.
    pub(super) fn finish(self) -> Statement {
        Statement { sql: self.text, params: self.params, defines: Vec::new() }
    }
}
