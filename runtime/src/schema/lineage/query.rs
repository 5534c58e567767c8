//! What of a SELECT says where its columns come from; all else of it is left out.
//!
//! Names are in lower case, because SQLite ignores the case of ASCII letters in them. Must not know the schema.

/// A query: `WITH …`, and SELECTs joined by UNION.
///
/// What stands behind INTERSECT or EXCEPT takes rows away and shows none, so it is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Query {
    /// The tables of WITH.
    pub(super) ctes: Vec<Cte>,
    /// The SELECTs; there is at least one.
    pub(super) selects: Vec<Select>,
}

/// A table of WITH.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cte {
    pub(super) name: String,
    /// The names of its columns; empty where the query names them.
    pub(super) columns: Vec<String>,
    pub(super) query: Query,
}

/// One SELECT.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Select {
    pub(super) items: Vec<Item>,
    pub(super) sources: Vec<Source>,
}

/// What stands between SELECT and FROM.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// `*`
    All,
    /// `t.*`
    AllOf(String),
    /// `t.c AS name`
    Column { table: Option<String>, column: String, name: String },
    /// Any other expression; its name is empty where there is no AS.
    Expression { name: String },
}

/// One of the tables of FROM, with the join that stands before it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) join: Join,
    pub(super) equal: Equal,
    pub(super) rows: Rows,
    pub(super) alias: Option<String>,
}

/// Which side of a join has a row for every row of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// The left one: INNER, LEFT, CROSS and the comma.
    Left,
    /// The right one: RIGHT.
    Right,
    /// Neither: FULL.
    Neither,
}

/// Which columns of a join are one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Equal {
    /// None: ON or nothing.
    None,
    /// NATURAL.
    Natural,
    /// `USING (…)`.
    Using(Vec<String>),
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    /// A table, a view or a table of WITH.
    Of(String),
    /// A SELECT in parentheses.
    Query(Query),
    /// Tables in parentheses.
    Joined(Vec<Source>),
    /// A table in another database, and whatever else has columns that are not known.
    Unknown,
}
