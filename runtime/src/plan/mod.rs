//! What a request means, every name resolved against the schema.
//!
//! Made by [`build`], seen by [`authorize`](crate::authorize), turned into SQL by [`compile`](crate::compile). Values are
//! typed here and names are places in the schema; no text of the request is left but aliases and values.

mod build;
mod embed;
mod literal;
mod write;

use crate::filter::{Comparison, Is};
use crate::order::{Direction, Nulls};
use crate::schema::{RelationId, Relationship, Writable};
use crate::value::Value;

pub use build::build;

/// What a request means.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// GET and HEAD
    Read {
        /// The rows.
        read: Read,
        /// Whether the rows beyond the page are counted.
        count: bool,
    },
    /// POST
    Insert(Insert),
    /// PATCH
    Update(Update),
    /// DELETE
    Delete(Delete),
    /// OPTIONS: which methods the relation takes.
    Options(Writable),
}

/// One occurrence of a relation in a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The relation.
    pub relation: RelationId,
    /// The number in its alias, unlike that of every other occurrence. `None`: it goes by its own name, as the target of
    /// an UPDATE or DELETE does (SQLite loses an alias there where INSTEAD OF triggers run).
    pub alias: Option<usize>,
}

/// Rows of one relation with what is embedded into them.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// Where the rows are from.
    pub source: Source,
    /// What is told of each row.
    pub fields: Vec<Field>,
    /// What must hold, all of it.
    pub conditions: Vec<Expr>,
    /// How rows are sorted.
    pub order: Vec<OrderBy>,
    /// Rows at the most.
    pub limit: Option<u64>,
    /// Rows passed over.
    pub offset: u64,
}

/// A member of the objects that rows become.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The member's name.
    pub name: String,
    /// Its value.
    pub value: FieldValue,
}

/// Where a member's value is from.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A column of the relation.
    Column(usize),
    /// Rows of another relation.
    Embed(Box<Embed>),
}

/// Rows of another relation, as they belong to one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Embed {
    /// How the two relate.
    pub relationship: Relationship,
    /// The row that it belongs to.
    pub outer: Source,
    /// The occurrence of the junction, where there is one.
    pub junction: Option<Source>,
    /// The rows.
    pub read: Read,
}

/// A column of one occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnRef {
    /// The occurrence.
    pub source: Source,
    /// The column's place.
    pub column: usize,
}

/// A condition or a value: filters, and policies when they come.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A column.
    Column(ColumnRef),
    /// A value, bound as a parameter.
    Value(Value),
    /// `a = b` and its kin.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `a GLOB pattern`: case matters, as in LIKE of PostgreSQL.
    Glob(Box<Expr>, Value),
    /// `a IN (…)`
    In(Box<Expr>, Vec<Value>),
    /// `a IS NULL` and its kin.
    Is(Is, Box<Expr>),
    /// `typeof(a) = 'text'`
    IsText(Box<Expr>),
    /// The negation.
    Not(Box<Expr>),
    /// All of them; none is true.
    And(Vec<Expr>),
    /// One of them; none is false.
    Or(Vec<Expr>),
    /// Whether an embed has a row (`!inner`).
    Exists(Box<Embed>),
}

/// A term of ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    /// The column.
    pub column: ColumnRef,
    /// Which way.
    pub direction: Direction,
    /// Where nulls go.
    pub nulls: Nulls,
}

/// What a write tells of the rows that it touched.
#[derive(Clone, Debug, PartialEq)]
pub enum Returning {
    /// How many.
    Count,
    /// The primary key of the row, for `Location`.
    Location,
    /// The rows, read back; the conditions of this read are those of its embeds alone.
    Rows(Read),
}

/// New rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// The relation.
    pub target: Source,
    /// The places of the columns given.
    pub columns: Vec<usize>,
    /// For each row the values of these columns.
    pub rows: Vec<Vec<Value>>,
    /// What is told of them.
    pub returning: Returning,
}

/// Changed rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The relation.
    pub target: Source,
    /// The columns with their new values; none changes nothing.
    pub assignments: Vec<(usize, Value)>,
    /// Which rows.
    pub conditions: Vec<Expr>,
    /// What is told of them.
    pub returning: Returning,
}

/// Removed rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// The relation.
    pub target: Source,
    /// Which rows.
    pub conditions: Vec<Expr>,
    /// What is told of them.
    pub returning: Returning,
}
