//! What is known of a database's schema: relations, columns, keys and how relations refer to each other.
//!
//! Read from the database by `introspect`, asked by the build stage. Plain data; must not know requests.

#[cfg(test)]
pub(crate) mod catalog;
mod checks;
mod configured;
mod ddl;
mod hidden;
mod introspect;
mod lineage;
mod relationships;
mod tokens;
mod types;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

pub use checks::{Bound, Facts};
pub(crate) use checks::{default_literal, facts};
pub use configured::{is_write, read_configured};
pub(crate) use ddl::runs_by_insert;
pub(crate) use introspect::{matches_pattern, quoted};
pub use introspect::{read_schema, schema_version};
pub use lineage::{Origin, view_origins};
pub use relationships::{Cardinality, Junction, Relationship};
pub(crate) use tokens::{names_in, view_query};
pub use types::ColumnType;

use crate::config::FullTextIndex;
use crate::policy::Access;
use crate::similar::closest;

/// The index of a relation in [`SchemaCache::relations`].
pub type RelationId = usize;

/// Everything known of one database's schema, as of one `PRAGMA schema_version`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaCache {
    /// `PRAGMA schema_version` when this was read; `None` before the first reading.
    pub version: Option<i64>,
    /// The exposed tables and views.
    pub relations: Vec<Relation>,
    /// Names to places in `relations`.
    pub names: HashMap<String, RelationId>,
    /// For each relation, the foreign keys that refer to it: the referring relation and the key's place there.
    pub referrers: Vec<Vec<(RelationId, usize)>>,
    /// For each function of the configuration the relation whose rows it returns.
    pub functions: Vec<Option<RelationId>>,
    /// The messages that triggers RAISE, which are meant for the client.
    pub raise_messages: HashSet<String>,
    /// What could not be read, in words for the log: a view over a table that is gone, for example.
    pub warnings: Vec<Warning>,
    /// Whether an index is there that has rows of some values alone, of which SQLite has to see that they are those asked for
    /// (<https://www.sqlite.org/partialindex.html>).
    pub has_partial_indexes: bool,
    /// What tables and views the attached databases have (`databases.NAME.attach`) and this one has not, in lower case: SQLite finds
    /// them also where SQL does not say in which database they are.
    pub attached: HashSet<String>,
    /// The DDL of tables and views.
    pub definitions: HashMap<RelationId, String>,
    /// The schema as the roles know it that have asked.
    pub views: Views,
    /// Whether this is the schema as a role knows it.
    pub is_narrowed: bool,
    /// The relations of which the role whose schema this is does not see everything, by their names in lower case.
    pub restricted: HashMap<String, RelationId>,
}

/// What of the database cannot be read, or of the configuration does not fit it. Everything else is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The table of the configuration that has it: `udf`, `fts`. Empty where it is the database's.
    pub section: &'static str,
    /// The name of the function, the column or the relation in there.
    pub name: String,
    /// A sentence.
    pub message: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// How many roles' schemas are kept at a time.
const MOST_VIEWS: usize = 64;

/// The schema as roles know it, by their names. No part of what the schema is.
#[derive(Debug, Default)]
pub struct Views(RwLock<HashMap<Option<String>, Arc<SchemaCache>>>);

impl Views {
    /// That of a role, if it has asked before.
    pub fn get(&self, role: Option<&str>) -> Option<Arc<SchemaCache>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match role {
            // Without a copy of the name.
            Some(role) => known
                .iter()
                .find(|(known, _)| known.as_deref() == Some(role))
                .map(|(_, view)| Arc::clone(view)),
            None => known.get(&None).cloned(),
        }
    }

    /// Keeps that of a role.
    pub fn put(&self, role: Option<&str>, view: &Arc<SchemaCache>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_VIEWS {
            known.clear();
        }
        known.insert(role.map(str::to_owned), Arc::clone(view));
    }
}

impl Clone for Views {
    fn clone(&self) -> Self {
        Views::default()
    }
}

impl PartialEq for Views {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A table or a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns, in the order of `SELECT *`.
    pub columns: Vec<Column>,
    /// The places of the primary key's columns, in the key's order. A view has those of all tables whose keys it shows.
    pub primary_key: Vec<usize>,
    /// The places of each unique key's columns (the primary key not among them).
    pub unique_keys: Vec<Vec<usize>>,
    /// Its foreign keys: the declared ones, then the derived ones.
    pub foreign_keys: Vec<ForeignKey>,
    /// Its computed relationships.
    pub computed: Vec<Computed>,
    /// The FTS5 table behind some of its columns.
    pub full_text: Option<FullTextIndex>,
    /// How one of its rows is found again after a write.
    pub row_key: RowKey,
    /// Whether SQLite enforces the declared types (`STRICT`).
    pub strict: bool,
    /// Which writes it takes.
    pub writable: Writable,
    /// Whether its primary key names one row: no column of it is ever NULL, and no row is shown twice. Not known of most views.
    pub key_is_sure: bool,
    /// The table of a simple view, through which it is written.
    pub rewrite: Option<Rewrite>,
    /// What a role may do with it; none: everything. Only in the schema as a role knows it.
    pub access: Option<Arc<Access>>,
}

/// The table that is written where a simple view is.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewrite {
    /// The table's name.
    pub table: String,
    /// For each column of the view, the table's column that it shows.
    pub columns: Vec<Option<String>>,
    /// Whether the view shows every row of the table.
    pub whole: bool,
}

/// What a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// A table.
    Table,
    /// A view.
    View,
    /// A virtual table.
    Virtual,
    /// What a function returns.
    Function,
}

impl RelationKind {
    /// As PostgreSQL's messages call it.
    pub fn word(self) -> &'static str {
        match self {
            RelationKind::Table | RelationKind::Virtual => "table",
            RelationKind::View => "view",
            RelationKind::Function => "function",
        }
    }
}

/// An embed that the configuration defines.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// Its name.
    pub name: String,
    /// Whose rows it gives.
    pub target: RelationId,
    /// Whether it gives at most one.
    pub single: bool,
    /// Its query, in which `{row}` stands for the row.
    pub sql: String,
}

/// How one row is found again.
#[derive(Clone, Debug, PartialEq)]
pub enum RowKey {
    /// By its rowid, under the one of its three names that no column has taken.
    Rowid(&'static str),
    /// By its primary key (`WITHOUT ROWID`).
    PrimaryKey,
    /// Not at all (views).
    None,
}

/// Which writes a relation takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writable {
    /// INSERT
    pub insert: bool,
    /// UPDATE
    pub update: bool,
    /// DELETE
    pub delete: bool,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its declared type as written, empty where there is none.
    pub declared_type: String,
    /// What the declared type means.
    pub column_type: ColumnType,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// Its default as the DDL writes it.
    pub default: Option<String>,
    /// Whether its value is computed by the database.
    pub generated: bool,
    /// The SQL of a computed column of the configuration, in which `{row}` stands for the row.
    pub computed: Option<String>,
    /// How it is told and taken, where that is not as it is stored.
    pub representation: Option<Representation>,
    /// Whether it is an alias of the rowid, which always holds an integer.
    pub is_rowid: bool,
    /// Whether there is no such column for the role whose schema this is.
    pub hidden: bool,
    /// Whether that role is told something else instead.
    pub masked: bool,
    /// Whether that role may insert or update it.
    pub writable: bool,
}

/// How a column is told and taken. In the SQL `{value}` stands for the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Representation {
    /// What it means to a client.
    pub column_type: ColumnType,
    /// From what is stored to what is told.
    pub read: Option<String>,
    /// From what is sent to what is stored.
    pub write: Option<String>,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignKey {
    /// The constraint's name in the DDL, else `table_column_fkey` as PostgreSQL would name it.
    pub name: String,
    /// The places of its columns.
    pub columns: Vec<usize>,
    /// The relation it refers to.
    pub target: RelationId,
    /// The places of the columns it refers to.
    pub target_columns: Vec<usize>,
    /// Whether its columns are a key of the table that declares it, so that each value stands in one row.
    pub unique: bool,
    /// Whether it is a table's key as seen through a view of either table. The database enforces the table's own alone.
    pub derived: bool,
    /// Whether the role whose schema this is does not see its columns.
    pub hidden: bool,
}

impl ForeignKey {
    /// Whether two keys relate the same columns.
    pub fn is_same(&self, other: &ForeignKey) -> bool {
        self.target == other.target
            && self.columns == other.columns
            && self.target_columns == other.target_columns
    }
}

impl SchemaCache {
    /// Notes what does not fit, of a part of the configuration or (`""`) of the database.
    fn warn(&mut self, section: &'static str, name: &str, message: String) {
        self.warnings.push(Warning { section, name: name.to_owned(), message });
    }

    /// The relation of this name.
    pub fn relation(&self, name: &str) -> Option<(RelationId, &Relation)> {
        let id = *self.names.get(name)?;
        Some((id, self.relations.get(id)?))
    }

    /// Every foreign key with its relation.
    pub fn foreign_keys(&self) -> impl Iterator<Item = (RelationId, &ForeignKey)> {
        let relations = self.relations.iter().enumerate();
        relations.flat_map(|(id, relation)| relation.foreign_keys.iter().map(move |key| (id, key)))
    }

    /// The name most like this one, of those that may be seen.
    pub fn near(&self, name: &str) -> Option<String> {
        let is_seen =
            |relation: &Relation| relation.access.as_ref().is_none_or(|access| access.select.is_some());
        closest(name, self.exposed().filter(|(_, relation)| is_seen(relation)).map(|(_, r)| r.name.clone()))
    }
}

/// Which methods a relation takes beside OPTIONS, GET and HEAD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Methods {
    /// POST
    pub post: bool,
    /// PUT
    pub put: bool,
    /// PATCH
    pub patch: bool,
    /// DELETE
    pub delete: bool,
}

impl Relation {
    /// How the column at this place is told and taken, where that is not as it is stored.
    pub fn representation(&self, place: usize) -> Option<&Representation> {
        self.columns.get(place)?.representation.as_ref()
    }

    /// The same of what is read: a mask is told as it is.
    pub fn read_representation(&self, place: usize) -> Option<&Representation> {
        self.columns.get(place).filter(|column| !column.masked)?.representation.as_ref()
    }

    /// Which methods it takes; PUT needs a primary key.
    pub fn methods(&self) -> Methods {
        let Writable { mut insert, mut update, mut delete } = self.writable;
        if let Some(access) = &self.access {
            insert &= access.insert.is_any();
            update &= access.update.is_any();
            delete &= access.delete.is_some();
        }
        let put = insert && update && !self.primary_key.is_empty() && self.takes_conflicts();
        Methods { post: insert, put, patch: update, delete }
    }

    /// Whether the column at this place is never NULL.
    pub fn never_null(&self, place: usize) -> bool {
        let is_masked = self.columns.get(place).is_none_or(|column| column.masked);
        let is_key = self.key_is_sure && self.primary_key.contains(&place) && !is_masked;
        is_key || self.columns.get(place).is_some_and(|column| column.not_null || column.is_rowid)
    }

    /// Whether it can be upserted: a trigger cannot, and a view that does not show every row would change what it hides.
    pub fn takes_conflicts(&self) -> bool {
        self.kind == RelationKind::Table || self.rewrite.as_ref().is_some_and(|rewrite| rewrite.whole)
    }

    /// The place of the column of this name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name && !c.hidden)
    }

    /// The place of the column of this name that may be written, seen or not.
    pub fn written_column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name && (!c.hidden || c.writable))
    }

    /// The column name most like this one.
    pub fn near_column(&self, name: &str) -> Option<String> {
        closest(name, self.columns.iter().filter(|c| !c.hidden).map(|c| c.name.clone()))
    }

    /// The names of the columns at these places.
    pub fn column_names<'a>(&'a self, places: &'a [usize]) -> impl Iterator<Item = &'a str> {
        places.iter().filter_map(|at| self.columns.get(*at)).map(|c| c.name.as_str())
    }

    /// Whether these columns are, in any order, the primary key or a unique key.
    pub fn is_unique(&self, columns: &[usize]) -> bool {
        let same = |key: &[usize]| key.len() == columns.len() && key.iter().all(|at| columns.contains(at));
        !columns.is_empty() && (same(&self.primary_key) || self.unique_keys.iter().any(|key| same(key)))
    }
}
