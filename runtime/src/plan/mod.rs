//! What a request means, every name resolved against the schema.
//!
//! Made by [`build`], seen by [`authorize`](crate::authorize), turned into SQL by [`compile`](crate::compile). Values are
//! typed here and names are places in the schema; no text of the request is left but aliases and values.

mod build;
mod call;
mod embed;
mod keyset;
pub(crate) mod literal;
mod order;
mod test;
mod tree;
mod value;
mod visit;
mod write;

use crate::etag::Conditional;
use crate::filter::{Comparison, Is};
use crate::full_text::Found;
use crate::function::{Piece, Returns};
use crate::order::{Direction, Nulls};
use crate::policy::Security;
use crate::schema::{Methods, RelationId, Relationship};
use crate::select::Aggregate;
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
        /// Whether the place of the last row in the order is told.
        links: bool,
    },
    /// `/rpc/NAME`
    Call {
        /// The function and its rows.
        call: Call,
        /// Whether the rows beyond the page are counted.
        count: bool,
    },
    /// POST
    Insert(Insert),
    /// POST of rows with others inside
    InsertTree(InsertTree),
    /// PATCH
    Update(Update),
    /// DELETE
    Delete(Delete),
    /// OPTIONS: which methods the relation takes.
    Options(Methods),
}

/// One occurrence of a relation in a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The relation.
    pub relation: RelationId,
    /// What it goes by.
    pub alias: Alias,
}

/// What an occurrence of a relation goes by in a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alias {
    /// What the target of a write goes by: the same as a policy's row, but where INSTEAD OF triggers run its own name (SQLite loses an
    /// alias there).
    Own,
    /// `t0`: an occurrence in the request, each with a number of its own.
    Request(usize),
    /// The same of rows that SQL of the configuration gives.
    Given(usize),
    /// The row that a policy is about.
    Row,
    /// A table in a subquery of a policy.
    Policy(usize),
}

impl Alias {
    /// Whether a request knows it, and policies stand between it and the table.
    pub fn is_of_request(self) -> bool {
        matches!(self, Alias::Own | Alias::Request(_) | Alias::Given(_))
    }
}

/// Rows of one relation with what is embedded into them.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// Where the rows are from.
    pub source: Source,
    /// What is told of each row.
    pub fields: Vec<Field>,
    /// Whether rows of which the same is told are one.
    pub distinct: bool,
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
    /// A column of the relation, or something made of it.
    Column(ColumnValue),
    /// The number of rows: `count()`
    CountRows(Option<CastType>),
    /// Rows of another relation.
    Embed(Box<Embed>),
    /// The one field of another relation's rows (`...`): its value where there is one row, else an array.
    Lifted(Box<Embed>),
    /// An aggregate of the one field of to-one embeds (`...`) over the rows around them.
    LiftedAggregate {
        /// The embed.
        embed: Box<Embed>,
        /// What is made of the values.
        aggregate: Aggregate,
        /// The type that it is cast to.
        cast: Option<CastType>,
    },
}

impl FieldValue {
    /// Whether it is made of several rows.
    pub fn is_aggregate(&self) -> bool {
        match self {
            FieldValue::CountRows(_) | FieldValue::LiftedAggregate { .. } => true,
            FieldValue::Column(value) => value.aggregate.is_some(),
            FieldValue::Embed(_) | FieldValue::Lifted(_) => false,
        }
    }
}

impl Read {
    /// A read of all rows, of which nothing is told.
    pub fn of(source: Source) -> Read {
        Read {
            source,
            fields: Vec::new(),
            distinct: false,
            conditions: Vec::new(),
            order: Vec::new(),
            limit: None,
            offset: 0,
        }
    }

    /// Whether its rows are groups of rows.
    pub fn is_aggregated(&self) -> bool {
        self.fields.iter().any(|field| field.value.is_aggregate())
    }
}

/// A column, or something made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnValue {
    /// The column.
    pub column: ColumnRef,
    /// Whether it is meant as it is told, where that is not as it is stored.
    pub represented: bool,
    /// The way into its JSON.
    pub path: Option<JsonPath>,
    /// The type that it is cast to.
    pub cast: Option<CastType>,
    /// What is made of the values of several rows.
    pub aggregate: Option<Aggregate>,
    /// The type that the aggregate is cast to.
    pub aggregate_cast: Option<CastType>,
}

impl ColumnValue {
    /// The whole column.
    pub fn whole(column: ColumnRef) -> ColumnValue {
        ColumnValue {
            column,
            represented: false,
            path: None,
            cast: None,
            aggregate: None,
            aggregate_cast: None,
        }
    }

    /// Whether it is the column and nothing made of it.
    pub fn is_bare(&self) -> bool {
        !self.represented && self.path.is_none() && self.cast.is_none() && self.aggregate.is_none()
    }
}

/// A way into JSON, as SQLite writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    /// `$."a"[0]`; `None` for a member that SQLite's paths cannot name, which then is not there.
    pub path: Option<String>,
    /// Whether the value is wanted as text (`->>`).
    pub as_text: bool,
}

/// What a value can be cast to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastType {
    /// text, varchar and the like
    Text,
    /// integer, bigint and the like
    Integer,
    /// real, double precision
    Real,
    /// numeric, decimal
    Numeric,
    /// boolean
    Boolean,
    /// json, jsonb
    Json,
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

/// A function, its arguments bound, and what is told of its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its SQL.
    pub sql: Vec<Piece>,
    /// What it returns.
    pub returns: Returns,
    /// The rows; none where it returns nothing.
    pub read: Option<Read>,
    /// Whose rights it reads with.
    pub security: Security,
}

/// A column of one occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnRef {
    /// The occurrence.
    pub source: Source,
    /// The column's place.
    pub column: usize,
}

/// A condition or a value: of filters and of policies.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A column, or something made of it.
    Column(ColumnValue),
    /// The rowid of an occurrence.
    Rowid(Source),
    /// What a client sends for a column that is not stored so, made by this SQL of the configuration.
    Represented(String, Value),
    /// A value, bound as a parameter.
    Value(Value),
    /// `a = b` and its kin.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `a GLOB pattern`: case matters, as in LIKE of PostgreSQL.
    Glob(Box<Expr>, Value),
    /// `a REGEXP pattern`, a function of the host.
    Regexp(Box<Expr>, Value),
    /// `a IS NOT b`
    IsDistinct(Box<Expr>, Box<Expr>),
    /// The JSON without needless white space, so that equal JSON is equal text; NULL where it is not JSON.
    CanonicalJson(Box<Expr>),
    /// The SQL value of JSON behind an arrow.
    JsonScalar(ColumnValue),
    /// Whether a row is found by full text; NULL where the column is.
    FullText {
        /// The column.
        column: ColumnValue,
        /// The FTS5 table.
        index: String,
        /// Which rows.
        found: Found,
    },
    /// Whether JSON contains JSON.
    Contains(Box<Expr>, Containment),
    /// Whether JSON is contained in this JSON.
    ContainedBy(Box<Expr>, Value),
    /// Whether a JSON array comes before or behind this one, element by element.
    ArrayOrder(Comparison, Box<Expr>, Value),
    /// Whether a JSON array has an element in common with this one.
    Overlaps(Box<Expr>, Value),
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
    /// What the asker or the request says, bound as a parameter.
    Asked(Asked),
    /// A part of SQL that only policies can say.
    Sql(SqlExpr),
}

/// What a policy can ask of who asks and of the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// `current_role()`
    Role,
    /// `current_claim('a.b')`; `current_user_id()` is the claim `sub`.
    Claim(String),
    /// `request_value('request.headers', 'x-tenant')`
    Request {
        /// `request.headers`, `request.cookies`, `request.method` or `request.path`.
        kind: String,
        /// The field's name.
        name: String,
    },
}

/// SQL of a policy beyond what filters can say. Names of functions and operators are SQLite's, out of a list.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlExpr {
    /// `lower(a)`
    Function {
        /// Its name.
        name: &'static str,
        /// Whether it is of different values (`count(DISTINCT a)`).
        distinct: bool,
        /// Its arguments; none of `count(*)`.
        arguments: Vec<Expr>,
    },
    /// `a || b`
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// `- a`
    Unary(&'static str, Box<Expr>),
    /// `CAST(a AS TEXT)`
    Cast(Box<Expr>, &'static str),
    /// `a COLLATE NOCASE`
    Collate(Box<Expr>, &'static str),
    /// `CASE a WHEN b THEN c ELSE d END`
    Case {
        /// What the branches are compared with.
        operand: Option<Box<Expr>>,
        /// The branches.
        branches: Vec<(Expr, Expr)>,
        /// What it is else.
        otherwise: Option<Box<Expr>>,
    },
    /// `a IN (b, c)`
    In(Box<Expr>, Vec<Expr>),
    /// `a IN (SELECT …)`
    InQuery(Box<Expr>, Box<Query>),
    /// `EXISTS (SELECT …)`
    Exists(Box<Query>),
    /// `(SELECT …)`
    Query(Box<Query>),
    /// A value that stands in the text of a policy.
    Literal(Value),
    /// A column of a table-valued function: `p1.value`
    EachColumn(usize, &'static str),
}

/// A subquery of a policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Whether equal rows are one.
    pub distinct: bool,
    /// What is selected.
    pub fields: Vec<Expr>,
    /// The tables, joined.
    pub from: Vec<Table>,
    /// WHERE
    pub conditions: Vec<Expr>,
    /// GROUP BY
    pub group_by: Vec<Expr>,
    /// HAVING
    pub having: Option<Expr>,
    /// ORDER BY, and whether it is from the last to the first.
    pub order_by: Vec<(Expr, bool)>,
    /// LIMIT
    pub limit: Option<Expr>,
}

/// A table in a subquery of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What it is.
    pub rows: TableRows,
    /// Whether rows of the tables before it are kept that match none of it (LEFT JOIN).
    pub left: bool,
    /// ON
    pub on: Option<Expr>,
}

/// Where the rows of a subquery's table are from.
#[derive(Clone, Debug, PartialEq)]
pub enum TableRows {
    /// A table or view.
    Relation(Source),
    /// `json_each(a)`, `json_tree(a)`; the number of its alias.
    Each {
        /// Its name.
        function: &'static str,
        /// The JSON.
        json: Box<Expr>,
        /// The number of its alias.
        alias: usize,
    },
}

/// What JSON must contain.
#[derive(Clone, Debug, PartialEq)]
pub enum Containment {
    /// An object with these members, each of which contains what is said.
    Members(Vec<(String, Containment)>),
    /// An array, each of these contained in one of its elements.
    Elements(Vec<Containment>),
    /// A value that as text is this.
    Value(Value),
}

/// What rows are sorted by.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderValue {
    /// A column, or something made of it.
    Column(ColumnValue),
    /// The rowid.
    Rowid(Source),
    /// The number of rows of a group: `count()`
    CountRows,
    /// The one field of a to-one embed, or an aggregate of any embed's rows.
    Embed(Box<Embed>),
    /// How well a row fits a full-text query.
    Rank {
        /// The column.
        column: ColumnRef,
        /// The FTS5 table.
        index: String,
        /// The query, in FTS5's grammar.
        expression: String,
    },
}

/// A term of ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    /// The value.
    pub value: OrderValue,
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
    /// The rows, read back by their keys; the conditions of this read are those of its embeds alone.
    Rows(Read),
    /// The rows as the write itself returns them, for what has no key: bare columns.
    Written(Read),
}

/// New rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// The relation.
    pub target: Source,
    /// The rows, in runs of rows that give the same columns.
    pub rows: Vec<InsertRows>,
    /// What becomes of rows whose key is there already.
    pub conflict: Option<Conflict>,
    /// Whether this is a PUT, which answers 204 where it need not say more.
    pub put: bool,
    /// What is told of them.
    pub returning: Returning,
    /// What must hold of the row before.
    pub precondition: Option<Precondition>,
}

/// New rows with rows that refer to them or that they refer to, one statement each.
#[derive(Clone, Debug, PartialEq)]
pub struct InsertTree {
    /// The relation of the outermost rows.
    pub target: Source,
    /// The rows, each behind those whose values it needs.
    pub rows: Vec<TreeRow>,
    /// What is told of the outermost rows.
    pub returning: Returning,
}

/// A row of an [`InsertTree`].
#[derive(Clone, Debug, PartialEq)]
pub struct TreeRow {
    /// Its relation.
    pub relation: RelationId,
    /// The places of the columns given, with their values.
    pub values: Vec<(usize, TreeValue)>,
    /// Whether it is one of the outermost.
    pub is_root: bool,
}

/// A value of a [`TreeRow`].
#[derive(Clone, Debug, PartialEq)]
pub enum TreeValue {
    /// Given by the request.
    Given(Value),
    /// That of a column of a row inserted before.
    Of {
        /// The row's place in the tree.
        row: usize,
        /// The column's place.
        column: usize,
    },
}

/// New rows that give the same columns.
#[derive(Clone, Debug, PartialEq)]
pub struct InsertRows {
    /// The places of the columns given.
    pub columns: Vec<usize>,
    /// For each row the values of these columns.
    pub values: Vec<Vec<Value>>,
}

/// What becomes of rows whose key is there already.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// The places of the key's columns.
    pub key: Vec<usize>,
    /// Whether such rows are updated.
    pub merge: bool,
}

/// Changed rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The relation.
    pub target: Source,
    /// What is changed: once for all rows, or for each row by its key. None changes nothing.
    pub changes: Vec<Change>,
    /// What is told of them.
    pub returning: Returning,
    /// What must hold of the rows before.
    pub precondition: Option<Precondition>,
}

/// New values for some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The columns with their new values, `None` for their default; at least one.
    pub assignments: Vec<(usize, Option<Value>)>,
    /// Which rows.
    pub conditions: Vec<Expr>,
}

/// What must hold of the rows that a read of the same URL gives (`If-Match`, `If-None-Match`).
#[derive(Clone, Debug, PartialEq)]
pub struct Precondition {
    /// The rows.
    pub read: Read,
    /// What must hold.
    pub tests: Conditional,
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
    /// What must hold of the rows before.
    pub precondition: Option<Precondition>,
}
